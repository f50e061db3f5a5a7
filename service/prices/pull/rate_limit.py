"""The circuit breaker of a pull: what a rate limit does to the run, kept in the run's row so that it outlives us.

The first rate limit ends the attempt. The next ones come after 1, 5 and 15 minutes of machine time; a run that is
limited even then leaves the rest deferred and asks hourly. While one run pauses, no other asks the vendor either.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection, select, update

from service.db.tables import runs
from service.runs import Run, guard

PAUSES: tuple[timedelta, ...] = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))
"""Machine time before the attempt after the first, second and third rate limit of a run."""

RATE_LIMITS = "rate_limits"
"""Name, among a run's counts, of how often the vendor asked it to slow down."""


def rate_limits(connection: Connection, run_id: int) -> int:
    """How often a run was rate limited so far."""
    counts = connection.execute(select(runs.c.counts).where(runs.c.id == run_id)).scalar_one()
    return int(counts.get(RATE_LIMITS, 0))


def trip(connection: Connection, run: Run) -> timedelta | None:
    """Note a further rate limit in the run's row.

    Args:
        connection: An open write transaction.
        run: A run that is ours; fenced.

    Returns:
        The pause before its next attempt; None when every pause is used up.
    """
    guard(connection, run)
    counts = connection.execute(select(runs.c.counts).where(runs.c.id == run.id)).scalar_one()
    before = int(counts.get(RATE_LIMITS, 0))
    connection.execute(update(runs).where(runs.c.id == run.id).values(counts={**counts, RATE_LIMITS: before + 1}))
    return PAUSES[before] if before < len(PAUSES) else None


def paused_until(connection: Connection, run: Run, machine_now: datetime) -> datetime | None:
    """When the pause of another rate-limited pull ends, None where none pauses.

    Args:
        connection: Any connection.
        run: The run that would like to ask.
        machine_now: Aware UTC machine time.
    """
    query = select(runs.c.not_before, runs.c.counts).where(
        runs.c.job == run.job, runs.c.state == "due", runs.c.id != run.id, runs.c.not_before > machine_now
    )
    held: list[datetime] = [row.not_before for row in connection.execute(query) if RATE_LIMITS in row.counts]
    return max(held, default=None)
