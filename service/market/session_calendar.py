"""Sessions of one exchange between two dates, in read-only NumPy arrays searched by bisection."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

import numpy as np
from numpy.typing import NDArray

from service.errors import CalendarError
from service.vocabulary import CONTINUOUS_CALENDARS

DateArray = NDArray[np.datetime64]
IntArray = NDArray[np.int64]

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class SessionTable:
    """Sessions with the instants at which they open and close, oldest first.

    Attributes:
        sessions: `(n,)` datetime64[D], strictly ascending.
        open_at: `(n,)` datetime64[s], UTC instant of each open.
        close_at: `(n,)` datetime64[s], UTC instant of each close, early closes included.
    """

    sessions: DateArray
    open_at: DateArray
    close_at: DateArray

    def __len__(self) -> int:
        return len(self.sessions)


def join_tables(tables: Sequence[SessionTable]) -> SessionTable:
    """Return one table of several that follow one another."""
    return SessionTable(
        np.concatenate([table.sessions for table in tables]),
        np.concatenate([table.open_at for table in tables]),
        np.concatenate([table.close_at for table in tables]),
    )


@dataclass(frozen=True, slots=True)
class DateBounds:
    """First and last date of a span, both inclusive."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Exactness:
    """Dates for which a calendar is known rather than assumed.

    Attributes:
        first: First date that the exchange's own calendar covers (inclusive); None if it covers none.
        last: Last such date (inclusive); None if none does.
        gaps: Spans between these dates that are assumed nevertheless, oldest first.
    """

    first: date | None
    last: date | None
    gaps: tuple[DateBounds, ...] = ()

    def covers(self, day: date) -> bool:
        """Return whether a date is known rather than assumed."""
        if self.first is None or self.last is None or not self.first <= day <= self.last:
            return False
        return not any(gap.first <= day <= gap.last for gap in self.gaps)

    def assumed(self, days: DateArray) -> NDArray[np.bool_]:
        """Return a `(n,)` mask of the dates (datetime64[D]) that are assumed."""
        if self.first is None or self.last is None:
            return np.ones(len(days), bool)
        assumed: NDArray[np.bool_] = (days < np.datetime64(self.first)) | (days > np.datetime64(self.last))
        for gap in self.gaps:
            assumed |= (days >= np.datetime64(gap.first)) & (days <= np.datetime64(gap.last))
        return assumed


class MarketCalendar:
    """The sessions of one exchange between two dates (both inclusive); built by `get_calendar`."""

    __slots__ = ("_close", "_days", "_open", "_table", "_zone", "continuous", "exactness", "first", "last", "name")

    def __init__(self, name: str, bounds: DateBounds, table: SessionTable, zone: tzinfo, exactness: Exactness) -> None:
        """Wrap a table of sessions.

        Args:
            name: Canonical name, for example `XNYS`.
            bounds: The dates that the calendar covers.
            table: Every session between the bounds; made read-only.
            zone: Time zone of the exchange.
            exactness: The dates that are known rather than assumed.
        """
        self.name = name
        self.first, self.last = bounds.first, bounds.last
        self.exactness = exactness
        self._table = table
        self._zone = zone
        for column in (table.sessions, table.open_at, table.close_at):
            column.flags.writeable = False
        self._days: IntArray = table.sessions.astype("datetime64[D]").astype(np.int64)
        self._open: IntArray = table.open_at.astype("datetime64[s]").astype(np.int64)
        self._close: IntArray = table.close_at.astype("datetime64[s]").astype(np.int64)
        self.continuous: bool = name in CONTINUOUS_CALENDARS

    @property
    def approximate(self) -> bool:
        """Whether any date inside the bounds is assumed from the usual week instead of known."""
        return self.exactness != Exactness(self.first, self.last)

    @property
    def zone(self) -> tzinfo:
        """Time zone of the exchange."""
        return self._zone

    def is_approximate(self, session: date) -> bool:
        """Return whether a date is assumed from the usual week instead of known."""
        return not self.exactness.covers(session)

    def table(self, first: date, last: date) -> SessionTable:
        """Return the sessions from `first` to `last` (both inclusive) as arrays: views of the calendar's arrays.

        Raises:
            CalendarError: A date is outside the calendar's bounds.
        """
        cut = slice(self._count_before(first), self._count_before(last, inclusive=True))
        return SessionTable(self._table.sessions[cut], self._table.open_at[cut], self._table.close_at[cut])

    def sessions(self, first: date, last: date) -> list[date]:
        """Return the sessions from `first` to `last`, both inclusive, oldest first."""
        return [day.astype(object) for day in self.table(first, last).sessions]

    def is_session(self, day: date) -> bool:
        """Return whether the exchange trades on a date."""
        return self._count_before(day) < self._count_before(day, inclusive=True)

    def open_at(self, session: date) -> datetime:
        """Return the aware UTC instant at which a session opens; CalendarError if the date is not a session."""
        return datetime.fromtimestamp(int(self._open[self._row(session)]), UTC)

    def close_at(self, session: date) -> datetime:
        """Return the aware UTC instant at which a session closes; CalendarError if the date is not a session."""
        return datetime.fromtimestamp(int(self._close[self._row(session)]), UTC)

    def final_at(self, session: date, settle: timedelta) -> datetime:
        """Return the aware UTC instant at which a session's bar is final: its close + settle."""
        return self.close_at(session) + settle

    def next(self, session: date, n: int = 1) -> date:
        """Return the n-th session (n >= 1) strictly after a date, which need not be a session itself."""
        return self._at(self._count_before(session, inclusive=True) + _positive(n) - 1, f"{n} after {session}")

    def previous(self, session: date, n: int = 1) -> date:
        """Return the n-th session (n >= 1) strictly before a date, which need not be a session itself."""
        return self._at(self._count_before(session) - _positive(n), f"{n} before {session}")

    def newest_final(self, instant: datetime, settle: timedelta) -> date | None:
        """Return the newest session with close + settle <= instant; None if the bounds hold none."""
        return self._newest(self._close, instant - settle)

    def newest_opened(self, instant: datetime) -> date | None:
        """Return the newest session with open <= instant; None if the bounds hold none."""
        return self._newest(self._open, instant)

    def local_date(self, instant: datetime) -> date:
        """Return the local date of the exchange at an aware instant."""
        return instant.astimezone(self._zone).date()

    def _newest(self, instants: IntArray, instant: datetime) -> date | None:
        self._check(min(self.local_date(instant), instant.astimezone(UTC).date()), low=False)
        row = int(np.searchsorted(instants, _seconds(instant), side="right")) - 1
        return None if row < 0 else _date(self._days[row])

    def _count_before(self, day: date, *, inclusive: bool = False) -> int:
        self._check(day)
        side: str = "right" if inclusive else "left"
        return int(self._days.searchsorted(day.toordinal() - _EPOCH_ORDINAL, side=side))  # type: ignore[call-overload]

    def _check(self, day: date, *, low: bool = True) -> None:
        if day > self.last or (low and day < self.first):
            raise CalendarError(
                f"{self.name}: {day} is outside the calendar's bounds {self.first}..{self.last}; "
                "call get_calendar with wider bounds"
            )

    def _row(self, session: date) -> int:
        row = self._count_before(session)
        if row == len(self._days) or self._days[row] != session.toordinal() - _EPOCH_ORDINAL:
            raise CalendarError(f"{self.name}: {session} is not a session; use sessions(), next() or previous()")
        return row

    def _at(self, row: int, position: str) -> date:
        if not 0 <= row < len(self._days):
            raise CalendarError(
                f"{self.name}: session {position} is outside the calendar's bounds {self.first}..{self.last}; "
                "call get_calendar with wider bounds"
            )
        return _date(self._days[row])


def _positive(n: int) -> int:
    if n < 1:
        raise CalendarError(f"a number of sessions must be 1 or more, received {n}; swap next() and previous() instead")
    return n


def _date(days: np.int64) -> date:
    return date.fromordinal(int(days) + _EPOCH_ORDINAL)


def _seconds(instant: datetime) -> int:
    if instant.tzinfo is None:
        raise CalendarError(f"an instant must be aware, received {instant.isoformat()}; attach UTC")
    return int(instant.timestamp() // 1)
