"""Fails runs for good, with an outcome for each symbol, and sets runs aside that kill their workers."""

from datetime import datetime

from sqlalchemy import Connection, select

from service.alerts.detection.missing import emit_failed
from service.alerts.outbox import Instants
from service.db.change_counters import lock_changes
from service.db.tables import runs
from service.forecasts.candidates import read_candidates
from service.market.instruments import list_instruments
from service.runs import Claimant, Outcome, Run, claim, finish, guard, read_outcomes, record_and_count
from service.runtime.context import ServiceContext
from service.vocabulary import FAILED, ForecastOutcome, Job


def claim_or_set_aside(
    context: ServiceContext, connection: Connection, claimant: Claimant, now: tuple[datetime, datetime]
) -> tuple[Run | None, list[Run]]:
    """Claim the next run that has not lost too many workers, and fail the others.

    Args:
        context: The service's parts.
        connection: An open write transaction.
        claimant: The scheduler.
        now: Aware UTC market time and machine time.

    Returns:
        The claimed run, None if there is none, and the runs that were set aside.
    """
    most = context.settings.max_lost_workers
    set_aside: list[Run] = []
    while (run := claim(connection, claimant, *now)) is not None and run.lost_workers > most:
        error = (
            f"set aside: it lost {run.lost_workers} workers in succession, each was killed or stalled for longer than "
            f"its lease of {context.settings.lease_seconds} s; look in the system's log for processes killed for "
            "memory, and in the schedulers' logs (TPLUS_MAX_LOST_WORKERS is the limit)"
        )
        fail(connection, run, Instants(*now), error)
        set_aside.append(run)
    return run, set_aside


def fail(connection: Connection, run: Run, now: Instants, error: str) -> None:
    """Fail a run for good: each of its symbols without a result gets the outcome `failed`; fenced.

    Args:
        connection: An open write transaction.
        run: The claimed run.
        now: Market time and machine time.
        error: Why it failed, one sentence.
    """
    guard(connection, run)
    lock_changes(connection)  # alerts are written with the outcomes
    known = {o.symbol for o in read_outcomes(connection, run.id) if o.state != ForecastOutcome.WAITING}
    reason = f"the {run.job} run failed: {error}"
    left = [Outcome(symbol, FAILED, reason) for symbol in run_symbols(connection, run) if symbol not in known]
    finish(connection, run, now.machine_at, counts=record_and_count(connection, run, left), error=error)
    if run.job == Job.FORECAST:
        emit_failed(connection, run.scope, run.session, error, now)


def run_symbols(connection: Connection, run: Run) -> tuple[str, ...]:
    """Return the symbols that a run is about; those with a published forecast are none of a forecast run."""
    if run.job == Job.FORECAST:
        candidates = read_candidates(connection, run.scope, run.session)
        return tuple(candidate.symbol for candidate in candidates if not candidate.is_published)
    if run.job == Job.BACKFILL:
        parameters = connection.execute(select(runs.c.parameters).where(runs.c.id == run.id)).scalar_one()
        if parameters["symbols"]:
            return tuple(parameters["symbols"])
    if run.job == Job.TRAIN:
        found = list_instruments(connection, group=run.scope, active=True)
    elif run.job == Job.PULL:
        found = list_instruments(connection, calendar=run.scope, pulled=True)
    else:
        found = list_instruments(connection, calendar=run.scope, active=True)
    return tuple(instrument.symbol for instrument in found)
