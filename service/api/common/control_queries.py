"""The change counter and what readiness reports."""

from typing import Any

from sqlalchemy import Connection, Row, func, select

from service.db.tables import change_counters, editions, market_clock, schedulers, stamp


def change_counter(connection: Connection) -> int:
    """The counter that every transaction raises which alters an answer; 0 where none has."""
    return (
        connection.execute(select(change_counters.c.counter).where(change_counters.c.scope == "")).scalar_one_or_none()
        or 0
    )


def stamp_row(connection: Connection) -> Row[Any] | None:
    """What the database was made for, None where nobody set it up."""
    return connection.execute(select(stamp)).one_or_none()


def replay_row(connection: Connection) -> Row[Any] | None:
    """Replayed market time, None where the clock is live."""
    return connection.execute(select(market_clock)).one_or_none()


def newest_edition(connection: Connection) -> Row[Any] | None:
    """The edition published last."""
    return connection.execute(select(editions).order_by(editions.c.number.desc()).limit(1)).one_or_none()


def newest_heartbeat(connection: Connection) -> Any:
    """Machine time at which a scheduler last said that it lives."""
    return connection.execute(select(func.max(schedulers.c.heartbeat_at))).scalar_one_or_none()
