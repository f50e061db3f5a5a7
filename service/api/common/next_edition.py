"""The next edition of each calendar: when it is due in market time, and in how many real seconds."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from service.api.common.rows import columns_of, read_row, read_rows
from service.clock import DatabaseClock
from service.db.tables import instruments, market_clock, sessions, stamp
from service.runs import is_busy
from service.settings import Settings
from service.vocabulary import SessionState

_BEFORE = timedelta(days=3)
_AFTER = timedelta(days=16)
"""Days around now that contain the next session of every calendar; a pull stores as many ahead."""


@dataclass(frozen=True, slots=True)
class NextEdition:
    """The next edition.

    Attributes:
        at: Aware UTC market time at which its forecast run is due; None if no later session is stored or recorded.
        in_seconds: Real seconds until then; None without `at`, and while a replayed clock waits for a run.
    """

    at: datetime | None = None
    in_seconds: float | None = None


NO_EDITION = NextEdition()
"""That of a calendar without a later session."""


class _SessionRow(NamedTuple):
    calendar: str
    session: date
    open_at: datetime
    close_at: datetime
    state: str


class _ClockRow(NamedTuple):
    record_end: date | None
    next_move_at: datetime | None


# Built once: building a statement takes longer than sending it.
_MODE = select(stamp.c.clock_mode)
_CLOCK = select(*columns_of(market_clock, _ClockRow))
_SESSIONS = select(*columns_of(sessions, _SessionRow)).where(
    sessions.c.calendar.in_(select(instruments.c.calendar).where(instruments.c.active | instruments.c.reference)),
    sessions.c.session.between(bindparam("first"), bindparam("last")),
)


class NextEditions:
    """The next editions of all calendars that are pulled, read once.

    Args:
        connection: Any connection.
        settings: Settle delays and the speed of a replay.
        now: Aware UTC market time.
    """

    def __init__(self, connection: Connection, settings: Settings, now: datetime) -> None:
        self._settings, self._now = settings, now
        self._machine_now = DatabaseClock().now(connection)
        mode = connection.execute(_MODE).scalar_one_or_none()
        self._clock = read_row(connection, _ClockRow, _CLOCK) if mode == "replay" else None
        self._waits = self._clock is not None and is_busy(connection)
        self._rows = self._read(connection)

    def first(self, calendars: Iterable[str]) -> NextEdition:
        """Return the earliest next edition of some calendars."""
        due = [at for at in (self._due(name) for name in set(calendars)) if at is not None]
        at = min(due, default=None)
        return NextEdition(at, None if at is None else self._seconds(at))

    def by_calendar(self) -> Mapping[str, NextEdition]:
        """Return the next edition of each calendar with a session around now."""
        return {name: self.first([name]) for name in {row.calendar for row in self._rows}}

    def _read(self, connection: Connection) -> list[_SessionRow]:
        end = (self._now + _AFTER).date()
        if self._clock is not None and self._clock.record_end is not None:
            end = min(end, self._clock.record_end)
        return read_rows(connection, _SessionRow, _SESSIONS, {"first": (self._now - _BEFORE).date(), "last": end})

    def _final_at(self, row: _SessionRow) -> datetime:
        return row.close_at + self._settings.settle(row.calendar)

    def _due(self, calendar: str) -> datetime | None:
        own = (row for row in self._rows if row.calendar == calendar and row.state != SessionState.CLOSED)
        return min((at for at in map(self._final_at, own) if at > self._now), default=None)

    def _seconds(self, at: datetime) -> float | None:
        """Return the real seconds until an instant of market time, None while a replayed clock waits."""
        if self._clock is None:
            return (at - self._now).total_seconds()
        if self._waits or self._clock.next_move_at is None:
            return None
        later = [event for event in self._events if self._now < event <= at][1:]  # next_move_at is that of the first
        speed = self._settings.market_clock.speed
        left = max((self._clock.next_move_at - self._machine_now).total_seconds(), 0.0)
        return left + sum(speed / self._events_of_day[event.date()] for event in later)

    @cached_property
    def _events(self) -> list[datetime]:
        """Return the instants at which a replayed clock stops, of all calendars."""
        return sorted({event for row in self._rows for event in (row.open_at, self._final_at(row))})

    @cached_property
    def _events_of_day(self) -> Counter[date]:
        return Counter(event.date() for event in self._events)
