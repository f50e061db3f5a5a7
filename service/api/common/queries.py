"""Queries that several resources share: the change counter, rows by id, and the instants around a session."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Table, func, select

from service.db.tables import change_counters, editions, market_clock, schedulers, sessions, stamp
from service.settings import Settings

STALE_AFTER = timedelta(hours=2)
"""How long after the next due time an answer is still fresh."""

_STEPS = 3
"""Sessions after as_of that a forecast is aimed at."""


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows.

    Attributes:
        filters: Column name -> value it must have; None = any.
        before: Ids below this only (exclusive); None = from the newest.
        limit: Most rows.
    """

    filters: dict[str, str | None]
    before: int | None
    limit: int


@dataclass(frozen=True, slots=True)
class Timing:
    """The instants around a session.

    Attributes:
        final_at: Aware UTC instant at which its bar is final (close + settle); None where it is not stored.
        next_due_at: Aware UTC instant at which the next open session's bar is final, which is when its
            forecast run is due; None where no later session is stored.
        approximate: Whether the session, or one of the three after it, is assumed Monday to Friday because the
            exchange's own calendar is not known there.
    """

    final_at: datetime | None
    next_due_at: datetime | None
    approximate: bool = False

    @property
    def stale_after(self) -> datetime | None:
        """Aware UTC instant after which (exclusive) an answer as of this session is stale."""
        return None if self.next_due_at is None else self.next_due_at + STALE_AFTER


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


def newest_first(connection: Connection, table: Table, page: Page) -> list[Row[Any]]:
    """Rows of a table, highest id first."""
    query = select(table).order_by(table.c.id.desc()).limit(page.limit)
    for name, value in page.filters.items():
        if value is not None:
            query = query.where(table.c[name] == value)
    if page.before is not None:
        query = query.where(table.c.id < page.before)
    return list(connection.execute(query))


def timing(connection: Connection, settings: Settings, calendar: str, session: date) -> Timing:
    """The instants around a session of a calendar."""
    query = (
        select(sessions.c.session, sessions.c.close_at, sessions.c.approximate)
        .where(sessions.c.calendar == calendar, sessions.c.session >= session, sessions.c.state != "closed")
        .order_by(sessions.c.session)
        .limit(1 + _STEPS)
    )
    rows = list(connection.execute(query))
    settle = settings.settle(calendar)
    own = next((row for row in rows if row.session == session), None)
    following = next((row for row in rows if row.session > session), None)
    return Timing(
        None if own is None else own.close_at + settle,
        None if following is None else following.close_at + settle,
        any(row.approximate for row in rows),
    )
