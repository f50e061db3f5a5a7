"""Queries of several resources: change counter, clocks, pages by id, and instants around a session."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, Table, bindparam, func, select

from service.api.common.rows import EditionRow, RowType, columns_of, read_row, read_rows
from service.db.change_counters import ALL
from service.db.tables import change_counters, editions, market_clock, schedulers, sessions, stamp
from service.settings import Settings
from service.vocabulary import SessionState

STALE_AFTER = timedelta(hours=2)
"""How long after the next due time an answer is still fresh."""

_STEPS = 3
"""Sessions after as_of that are forecast."""


class StampRow(NamedTuple):
    """The row of `stamp`: the source and the clock that a database belongs to."""

    source: str
    clock_mode: str


class ReplayClockRow(NamedTuple):
    """The row of `market_clock`: replayed market time."""

    now: datetime
    record_end: date | None


# Built once: building a statement takes longer than sending it.
_COUNTER = select(change_counters.c.counter).where(change_counters.c.scope == ALL)
_STAMP = select(*columns_of(stamp, StampRow))
_REPLAY_CLOCK = select(*columns_of(market_clock, ReplayClockRow))
_NEWEST_EDITION = select(*columns_of(editions, EditionRow)).order_by(editions.c.number.desc()).limit(1)
_NEWEST_HEARTBEAT = select(func.max(schedulers.c.heartbeat_at))
_TIMING = (
    select(sessions.c.session, sessions.c.close_at, sessions.c.approximate)
    .where(
        sessions.c.calendar == bindparam("calendar"),
        sessions.c.session >= bindparam("first"),
        sessions.c.state != SessionState.CLOSED,
    )
    .order_by(sessions.c.session)
    .limit(1 + _STEPS)
)


@dataclass(frozen=True, slots=True)
class Page:
    """Selects rows of a page.

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
        final_at: Aware UTC instant at which its bar is final (close + settle); None if it is not stored.
        next_due_at: Aware UTC instant at which the next open session's bar is final, which is when its
            forecast run is due; None if no later session is stored.
        approximate: Whether the session, or one of the three after it, is assumed from the usual week because the
            exchange's own calendar is not known there.
    """

    final_at: datetime | None
    next_due_at: datetime | None
    approximate: bool = False

    @property
    def stale_after(self) -> datetime | None:
        """Aware UTC instant after which (exclusive) an answer as of this session is stale."""
        return None if self.next_due_at is None else self.next_due_at + STALE_AFTER


def read_change_counter(connection: Connection) -> int:
    """Return the counter that every transaction raises that changes an answer; 0 if none did."""
    return connection.execute(_COUNTER).scalar_one_or_none() or 0


def read_stamp(connection: Connection) -> StampRow | None:
    """Return the database's stamp, None if it is not set up."""
    return read_row(connection, StampRow, _STAMP)


def read_replay_clock(connection: Connection) -> ReplayClockRow | None:
    """Return replayed market time, None for a live clock."""
    return read_row(connection, ReplayClockRow, _REPLAY_CLOCK)


def read_newest_edition(connection: Connection) -> EditionRow | None:
    """Return the newest edition, None without any."""
    return read_row(connection, EditionRow, _NEWEST_EDITION)


def read_newest_heartbeat(connection: Connection) -> datetime | None:
    """Return the machine time of the newest heartbeat of a scheduler, None without any."""
    heartbeat_at: datetime | None = connection.execute(_NEWEST_HEARTBEAT).scalar_one_or_none()
    return heartbeat_at


def read_newest_rows(connection: Connection, table: Table, row_type: type[RowType], page: Page) -> list[RowType]:
    """Return rows of a table with an id, highest id first."""
    query = select(*columns_of(table, row_type)).order_by(table.c.id.desc()).limit(page.limit)
    for name, value in page.filters.items():
        if value is not None:
            query = query.where(table.c[name] == value)
    if page.before is not None:
        query = query.where(table.c.id < page.before)
    return read_rows(connection, row_type, query)


def read_timing(connection: Connection, settings: Settings, calendar: str, session: date) -> Timing:
    """Return the instants around a session of a calendar."""
    rows = list(connection.execute(_TIMING, {"calendar": calendar, "first": session}))
    settle = settings.settle(calendar)
    own = next((row for row in rows if row.session == session), None)
    following = next((row for row in rows if row.session > session), None)
    return Timing(
        None if own is None else own.close_at + settle,
        None if following is None else following.close_at + settle,
        any(row.approximate for row in rows),
    )
