"""Executes jobs by name; an error becomes a retry with backoff or a failed run."""

import random
from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog
from sqlalchemy import select
from structlog.contextvars import bound_contextvars

from models.phases import Phase, PhaseRecorder
from service.alerts.outbox import Instants
from service.db.fault_reason import fault_reason, unexpected_reason
from service.db.session import FAULTS, driver_message, is_unavailable
from service.db.tables import runs
from service.errors import FencedError, TplusError
from service.execution.executor import WorkerDied, disk_message
from service.forecasts.backfill.backfill_job import BackfillImpossible, backfill
from service.forecasts.forecast_job import forecast
from service.forecasts.scoring.score_job import score
from service.prices.pull.pull_job import PullIncomplete, pull
from service.runs import Run, count_fenced, guard, release, retry
from service.runtime.context import ServiceContext
from service.runtime.phases import add_phases
from service.scheduler.failures import fail
from service.training.train_job import train
from service.vocabulary import Job, RunState

JobFunction = Callable[[ServiceContext, Run], None]

JOBS: Mapping[str, JobFunction] = {
    Job.PULL: pull,
    Job.SCORE: score,
    Job.FORECAST: forecast,
    Job.TRAIN: train,
    Job.BACKFILL: backfill,
}

OTHER = "other"
"""Phase of everything that no phase of the job measures."""

_log = structlog.get_logger(__name__)


def execute(context: ServiceContext, run: Run, stopping: Callable[[], bool]) -> None:
    """Execute a run's job and record its error, so that the loop continues.

    Every log line of the job names the run.

    Args:
        context: The service's parts.
        run: A run that this process has claimed.
        stopping: Whether the process stops: an interrupted run is then released, not failed.
    """
    with bound_contextvars(run_id=run.id, job=run.job, scope=run.scope, token=run.token), PhaseRecorder() as recorder:
        with Phase(OTHER):
            _execute(context, run, stopping)
        _store(context, run, recorder)


def _store(context: ServiceContext, run: Run, recorder: PhaseRecorder) -> None:
    """Store where the run's time went; without it the run is the same."""
    try:
        with context.database.transaction() as connection:
            add_phases(connection, run, recorder.phases())
    except FAULTS as fault:
        _log.warning("the phases of a run could not be stored", error=driver_message(fault))


def _execute(context: ServiceContext, run: Run, stopping: Callable[[], bool]) -> None:
    try:
        JOBS[run.job](context, run)
    except FencedError as error:
        _discard(context, run, error)
        return
    except WorkerDied as error:
        if stopping():
            _end(context, run, None)
            return
        _end(context, run, str(error))
    except PullIncomplete as error:
        _end(context, run, str(error), error.after)
    except BackfillImpossible as error:
        _end(context, run, str(error), is_last=True)
    except TplusError as error:
        _end(context, run, str(error))
    except FAULTS as error:  # the database may be available at the next attempt
        pause = timedelta(seconds=context.settings.retry_seconds) if is_unavailable(error) else None
        _log.warning("database error", run_id=run.id, job=run.job, scope=run.scope, error=driver_message(error))
        _end(context, run, f"database error: {fault_reason(error)}", pause)
    except OSError as error:
        _end(context, run, disk_message(error))
    except Exception as error:  # a defect must not stop the other runs; the log has the trace
        _log.exception("run failed unexpectedly")
        _end(context, run, unexpected_reason(error))
    report_end(context, run)


def _end(
    context: ServiceContext, run: Run, error: str | None, after: timedelta | None = None, *, is_last: bool = False
) -> None:
    """Release an interrupted run, plan its next attempt, or fail it after the last.

    Args:
        context: The service's parts.
        run: The run.
        error: What failed; None for an interrupted run.
        after: A pause that uses no attempt: the job requests it, or the database is not available.
        is_last: Whether no further attempt can succeed.
    """
    settings = context.settings
    try:
        with context.database.transaction() as connection:
            guard(connection, run)
            now = context.machine.now(connection)
            if error is None:
                release(connection, run)
            elif after is not None:
                retry(connection, run, now + after, error, counted=False)
            elif run.attempt < settings.max_attempts and not is_last:
                ceiling = settings.retry_seconds * 2 ** (run.attempt - 1)
                seconds = ceiling * (0.5 + random.random() / 2)
                retry(connection, run, now + timedelta(seconds=seconds), error)
            else:
                fail(connection, run, Instants(context.market.now(connection), now), error)
    except FencedError as fenced:
        _discard(context, run, fenced)
    except FAULTS as fault:
        # Nothing can be written now; the lease expires and the run is taken over when the database is back.
        _log.error("run could not be ended", error=driver_message(fault))


def _discard(context: ServiceContext, run: Run, fenced: FencedError) -> None:
    """Report and count a result that is discarded: another worker holds the claim."""
    context.reporter.notice(str(fenced))
    try:
        with context.database.transaction() as connection:
            count_fenced(connection, run)
    except FAULTS as fault:
        _log.warning("a discarded result could not be counted", error=driver_message(fault))


def report_end(context: ServiceContext, run: Run) -> None:
    """Report the stored end of a run; the database may be gone."""
    try:
        with context.database.reading() as connection:
            columns = (runs.c.state, runs.c.counts, runs.c.error, runs.c.warnings)
            row = connection.execute(select(*columns).where(runs.c.id == run.id)).one()
    except FAULTS:
        return
    if run.job == Job.BACKFILL and row.state == RunState.DUE and row.error is None:
        return  # a slice has ended
    context.reporter.run_ended(run, RunState(row.state), row.counts, row.error or "; ".join(row.warnings) or None)
