"""The circuit breaker of a pull: pauses after a rate limit, stored per source so that they outlive the process.

The first rate limit ends the attempt. The next ones come after 1, 5 and 15 minutes of machine time; a run that is
limited even then leaves the rest deferred and tries hourly. While one run pauses, no other run queries the source.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from service.db.tables import source_rate_limits
from service.db.upsert import upsert
from service.runs import Run, guard

PAUSES: tuple[timedelta, ...] = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))
"""Machine time before the attempt after the first, second and third rate limit of a run."""


def rate_limits(connection: Connection, source: str, run_id: int) -> int:
    """Return how often a source has rate limited a run so far."""
    query = select(source_rate_limits.c.limits).where(
        source_rate_limits.c.source == source, source_rate_limits.c.run_id == run_id
    )
    return connection.execute(query).scalar_one_or_none() or 0


def trip(connection: Connection, source: str, run: Run, machine_now: datetime) -> timedelta | None:
    """Record a further rate limit of a run.

    Args:
        connection: An open write transaction.
        source: Name of the source.
        run: A run that the caller holds; fenced.
        machine_now: Aware UTC machine time.

    Returns:
        The pause before its next attempt; None when every pause is used up.
    """
    guard(connection, run)
    before = rate_limits(connection, source, run.id)
    pause = PAUSES[before] if before < len(PAUSES) else None
    row = {
        "source": source,
        "run_id": run.id,
        "limits": before + 1,
        "limited_at": machine_now,
        "paused_until": None if pause is None else machine_now + pause,
    }
    upsert(connection, source_rate_limits, [row], ["limits", "limited_at", "paused_until"])
    return pause


def paused_until(connection: Connection, source: str, run: Run, machine_now: datetime) -> datetime | None:
    """Return when the pause of another run of the source ends, in machine time; None where none pauses.

    Args:
        connection: Any connection.
        source: Name of the source.
        run: The run that is about to query the source.
        machine_now: Aware UTC machine time.
    """
    table = source_rate_limits.c
    query = select(func.max(table.paused_until)).where(
        table.source == source, table.run_id != run.id, table.paused_until > machine_now
    )
    until: datetime | None = connection.execute(query).scalar_one_or_none()
    return until
