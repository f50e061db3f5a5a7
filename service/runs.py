"""Plans, claims and ends runs.

A run is unique by (job, scope, scheduled_for, sequence): several schedulers may plan it, but it is executed once. It is
claimed under a lease and ended with outcomes. Each claim raises the run's token, and every publish checks the token it
holds: a worker whose lease was taken over cannot publish. Leases are machine time, waiting is market time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, case, exists, func, null, or_, select, update

from service.db.tables import run_outcomes, runs
from service.db.upsert import insert_for, upsert
from service.errors import FencedError
from service.vocabulary import Job, RunState

DUE_JOBS: tuple[str, ...] = (Job.PULL, Job.SCORE, Job.FORECAST, Job.TRAIN)
"""Jobs that become due by market time, in the order of their execution for a session; they stop the replayed clock."""

JOBS: tuple[str, ...] = (*DUE_JOBS, Job.BACKFILL)
"""All jobs; a backfill is executed when no other run can be claimed."""

LIVE_STATES: tuple[str, ...] = (RunState.DUE, RunState.RUNNING)
"""States in which a run stops replayed market time."""

# Built once: building a statement takes longer than sending it.
_HOLD = (
    update(runs)
    .where(runs.c.id == bindparam("run"), runs.c.token == bindparam("held"), runs.c.state == RunState.RUNNING)
    .values(token=bindparam("held"))
)


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run to plan.

    Attributes:
        job: `pull`, `score`, `forecast`, `train` or `backfill`.
        scope: A calendar, or a group for `train`.
        scheduled_for: Market-time UTC instant it belongs to.
        session: The session it belongs to.
        sequence: 0, or higher for a further run of the same instant.
        superseded: Planned for the record only: a later run of the job covers it.
        parameters: What a backfill is for; None for other jobs.
    """

    job: str
    scope: str
    scheduled_for: datetime
    session: date
    sequence: int = 0
    superseded: bool = False
    parameters: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A claimed run; every publish checks its `token`.

    Attributes:
        id: Its row.
        job: `pull`, `score`, `forecast` or `train`.
        scope: A calendar, or a group for `train`.
        scheduled_for: Market-time UTC instant it belongs to.
        session: The session it belongs to.
        sequence: 0, or higher for a further run of the same instant.
        attempt: Number of its attempts, this one included; a takeover continues that of the lost worker.
        token: Number of its claims.
        lost_workers: How many workers in succession were lost during it.
    """

    id: int
    job: str
    scope: str
    scheduled_for: datetime
    session: date
    sequence: int
    attempt: int
    token: int
    lost_workers: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of a run for one symbol."""

    symbol: str
    state: str
    reason: str | None = None

    @property
    def message(self) -> str:
        """Return the reason, prefixed with the symbol once."""
        reason = self.reason or self.state
        return reason if reason.startswith(f"{self.symbol}:") else f"{self.symbol}: {reason}"


def plan(connection: Connection, planned: Iterable[PlannedRun]) -> int:
    """Insert the runs that do not exist yet and return their number."""
    new = 0
    for item in planned:
        values = {
            "job": item.job,
            "scope": item.scope,
            "scheduled_for": item.scheduled_for,
            "session": item.session,
            "sequence": item.sequence,
            "state": RunState.SUPERSEDED if item.superseded else RunState.DUE,
            "attempt": 0,
            "token": 0,
            "counts": {},
            "parameters": null() if item.parameters is None else dict(item.parameters),
        }
        # The returned rows are counted, because psycopg does not always have a row count.
        statement = insert_for(connection, runs).values(values).on_conflict_do_nothing().returning(runs.c.id)
        new += len(connection.execute(statement).all())
    return new


@dataclass(frozen=True, slots=True)
class Claimant:
    """A scheduler that claims runs.

    Attributes:
        owner: Id of the scheduler.
        jobs: Jobs that it executes.
        lease: How long the claim holds without a heartbeat.
    """

    owner: str
    jobs: tuple[str, ...]
    lease: timedelta


def _claimable(claimant: Claimant, market_now: datetime, machine_now: datetime) -> Select[Any]:
    """Return the query of the runs that a claimant may claim, in the order of their execution."""
    ranks = {job: rank for rank, job in enumerate(JOBS)}
    order = case(ranks, value=runs.c.job)
    earlier = runs.alias("earlier")
    same_instant = earlier.c.scheduled_for == runs.c.scheduled_for
    of_same_job = and_(same_instant, earlier.c.job == runs.c.job)
    before = or_(
        earlier.c.scheduled_for < runs.c.scheduled_for,
        and_(same_instant, case(ranks, value=earlier.c.job) < order),
        and_(of_same_job, earlier.c.sequence < runs.c.sequence),
        # A later sequence overtakes a waiting run. Not of two running ones: each would wait for the other.
        and_(of_same_job, earlier.c.sequence > runs.c.sequence, earlier.c.state == RunState.RUNNING,
             runs.c.state != RunState.RUNNING),
    )  # fmt: skip
    blocked = exists().where(
        or_(earlier.c.scope == runs.c.scope, and_(runs.c.job == Job.TRAIN, earlier.c.job != Job.TRAIN)),
        before,
        earlier.c.job != Job.BACKFILL,
        or_(
            earlier.c.state == RunState.RUNNING, and_(earlier.c.state == RunState.DUE, earlier.c.job.in_(claimant.jobs))
        ),
    )
    ready = or_(
        and_(runs.c.state == RunState.DUE, or_(runs.c.not_before.is_(None), runs.c.not_before <= machine_now)),
        and_(runs.c.state == RunState.WAITING, or_(runs.c.wait_until.is_(None), runs.c.wait_until <= market_now)),
        and_(runs.c.state == RunState.RUNNING, runs.c.lease_until <= machine_now),
    )
    return (
        select(runs)
        .where(runs.c.job.in_(claimant.jobs), ready, ~blocked)
        .order_by(runs.c.job == Job.BACKFILL, runs.c.scheduled_for, order, runs.c.sequence, runs.c.id)
    )


def claim(connection: Connection, claimant: Claimant, market_now: datetime, machine_now: datetime) -> Run | None:
    """Claim the next run and return it, None if there is none.

    Claimable are due runs whose backoff is over, waiting runs whose market time is reached, and running ones whose
    lease has expired (their worker is dead or stalled). The sessions of a calendar are executed one after the other,
    each with its jobs in order; a training waits for every earlier job. Due runs of jobs that the claimant does not
    execute block nothing. Of the runs of one job and instant one is executed at a time, by sequence. A backfill is
    claimed if no other run can be, and blocks none.

    Args:
        connection: An open write transaction.
        claimant: The scheduler.
        market_now: Aware UTC market time.
        machine_now: Aware UTC machine time.
    """
    query = _claimable(claimant, market_now, machine_now)
    row = connection.execute(query.limit(1).with_for_update(skip_locked=True, of=runs)).one_or_none()
    if row is None:
        return None
    taken_over = row.state == RunState.RUNNING
    values = {
        "state": RunState.RUNNING,
        "owner": claimant.owner,
        "attempt": row.attempt + (row.state == RunState.DUE),
        "token": row.token + 1,
        "takeovers": row.takeovers + taken_over,
        "lost_workers": row.lost_workers + taken_over,
        "lease_until": machine_now + claimant.lease,
        "started_at": row.started_at or machine_now,
    }
    connection.execute(update(runs).where(runs.c.id == row.id).values(values))
    return Run(
        row.id,
        row.job,
        row.scope,
        row.scheduled_for,
        row.session,
        row.sequence,
        values["attempt"],
        values["token"],
        values["lost_workers"],
    )


def guard(connection: Connection, run: Run) -> None:
    """Lock the run's row for this transaction and check that the claim is valid.

    Raises:
        FencedError: another worker took it over, or it has ended.
    """
    if connection.execute(_HOLD, {"run": run.id, "held": run.token}).rowcount != 1:
        raise FencedError(
            f"run {run.id} ({run.job} {run.scope} {run.session}) was taken over by another worker; "
            "its result is discarded"
        )


def heartbeat(connection: Connection, run: Run, until: datetime) -> None:
    """Extend the lease to a machine-time instant.

    Raises:
        FencedError: the lease is lost.
    """
    guard(connection, run)
    connection.execute(update(runs).where(runs.c.id == run.id).values(lease_until=until))


def store_progress(connection: Connection, run: Run, fraction: float | None, detail: str | None = None) -> None:
    """Store the progress of a running run for other processes; fenced.

    Args:
        connection: An open write transaction.
        run: The claimed run.
        fraction: Share done, 0..1; None clears the progress.
        detail: The current work.
    """
    guard(connection, run)
    share = None if fraction is None else round(fraction, 3)
    values = {"progress": share, "progress_detail": None if share is None else detail}
    connection.execute(update(runs).where(runs.c.id == run.id).values(values))


def finish(
    connection: Connection,
    run: Run,
    machine_now: datetime,
    *,
    counts: Mapping[str, int],
    error: str | None = None,
    warning: str | None = None,
) -> None:
    """End a run as done, or as failed if an error is given; fenced. Its progress is cleared."""
    guard(connection, run)
    values = {
        "state": RunState.FAILED if error else RunState.DONE,
        "finished_at": machine_now,
        "counts": dict(counts),
        "error": error,
        "warnings": [] if warning is None else [warning],
        "progress": None,
        "progress_detail": None,
        "lease_until": None,
        "wait_until": None,
    }
    connection.execute(update(runs).where(runs.c.id == run.id).values(values))


def finish_with_outcomes(connection: Connection, run: Run, machine_now: datetime, outcomes: Iterable[Outcome]) -> None:
    """Record the outcomes of symbols and end a run as done; its counts are those of its symbols. Fenced."""
    finish(connection, run, machine_now, counts=record_and_count(connection, run, outcomes))


def wait(
    connection: Connection, run: Run, until: datetime, counts: Mapping[str, int], warning: str | None = None
) -> None:
    """Let a run wait until a market-time instant, without stopping the replay; fenced."""
    guard(connection, run)
    values = {
        "state": RunState.WAITING, "wait_until": until, "lease_until": None, "counts": dict(counts),
        "error": None, "warnings": [] if warning is None else [warning], "lost_workers": 0,
    }  # fmt: skip
    connection.execute(update(runs).where(runs.c.id == run.id).values(values))


def retry(connection: Connection, run: Run, not_before: datetime, error: str, *, counted: bool = True) -> None:
    """Make a run due again, not before a machine-time instant; fenced. Uncounted retries use no attempt."""
    guard(connection, run)
    attempt = run.attempt if counted else max(run.attempt - 1, 0)
    values = {
        "state": RunState.DUE, "not_before": not_before, "lease_until": None, "error": error, "attempt": attempt,
        "lost_workers": 0,
    }  # fmt: skip
    if not counted:
        values["faults"] = runs.c.faults + 1
    connection.execute(update(runs).where(runs.c.id == run.id).values(values))


def release(connection: Connection, run: Run) -> None:
    """Make a run due again whose worker stops before its end; fenced.

    The interrupted attempt does not count.
    """
    guard(connection, run)
    values = {"state": RunState.DUE, "lease_until": None, "attempt": max(run.attempt - 1, 0), "lost_workers": 0}
    connection.execute(update(runs).where(runs.c.id == run.id).values(values))


def count_fenced(connection: Connection, run: Run) -> None:
    """Count a discarded result of a run; not fenced, because the claim is lost."""
    connection.execute(update(runs).where(runs.c.id == run.id).values(fenced=runs.c.fenced + 1))


def record_outcomes(connection: Connection, run: Run, outcomes: Iterable[Outcome]) -> None:
    """Write or overwrite the outcomes of symbols."""
    rows = [{"run_id": run.id, "symbol": o.symbol, "state": o.state, "reason": o.reason} for o in outcomes]
    upsert(connection, run_outcomes, rows, ("state", "reason"))


def read_outcomes(connection: Connection, run_id: int) -> tuple[Outcome, ...]:
    """Return the outcomes of a run, sorted by symbol."""
    query = select(run_outcomes).where(run_outcomes.c.run_id == run_id).order_by(run_outcomes.c.symbol)
    return tuple(Outcome(row.symbol, row.state, row.reason) for row in connection.execute(query))


def outcome_counts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """Return the number of symbols in each state."""
    counts: dict[str, int] = {}
    for outcome in outcomes:
        counts[outcome.state] = counts.get(outcome.state, 0) + 1
    return counts


def record_and_count(connection: Connection, run: Run, outcomes: Iterable[Outcome]) -> dict[str, int]:
    """Write or overwrite the outcomes of symbols and return the run's counts.

    The counts are the number of the run's symbols in each state.
    """
    record_outcomes(connection, run, outcomes)
    return outcome_counts(read_outcomes(connection, run.id))


_BUSY = select(exists().where(runs.c.state.in_(LIVE_STATES), runs.c.job.in_(bindparam("jobs", expanding=True))))


def is_busy(connection: Connection, jobs: Iterable[str] = DUE_JOBS) -> bool:
    """Return whether any run of the jobs is due or running.

    Replayed market time does not move then.
    """
    return bool(connection.execute(_BUSY, {"jobs": list(jobs)}).scalar_one())


def last_scheduled(connection: Connection, job: str) -> dict[str, datetime]:
    """Return the newest scheduled_for of a job, by scope."""
    query = select(runs.c.scope, func.max(runs.c.scheduled_for)).where(runs.c.job == job).group_by(runs.c.scope)
    return {scope: instant for scope, instant in connection.execute(query)}
