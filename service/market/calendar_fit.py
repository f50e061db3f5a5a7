"""Finds the calendar that fits the dates of a symbol's rows.

A calendar fits if nearly every row is on one of its sessions and most of its sessions have a row. Dates may be a day
early because local midnight was written as a UTC date; then they fit once they are moved to the local date.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.market.exchange_codes import EXCHANGE_CALENDARS, WEEKS
from service.market.session_calendar import DateArray, MarketCalendar
from service.market.utc_dates import sessions_of_utc_dates
from service.vocabulary import ALWAYS_OPEN

ROWS = 500
"""Number of newest rows that are compared with a calendar."""

MIN_ROWS = 60
"""Fewest rows that can show that a calendar is wrong."""

MAX_OFF = 0.05
"""Share of rows on no session above which the calendar or the dates are wrong."""

_MAX_MISSING = 0.5
"""Share of sessions without a row above which a calendar does not fit: the rows are weekly, monthly or misread."""

_MIN_EVENNESS = 0.25
"""How often, compared with the most frequent one, each day of a calendar's week must have a row: else it is no trading
day."""

_SLOW = frozenset({"XKRX", "XMOS"})
"""Exchanges that are not tried because the library takes seconds to build their calendar."""

CalendarByName = Callable[[str], MarketCalendar]
"""Name -> calendar; its bounds must hold all dates and a week around them."""


@dataclass(frozen=True, slots=True)
class CalendarFit:
    """A calendar, compared with the dates of rows.

    Attributes:
        name: Name of the calendar.
        utc_dates: Whether the dates are those of local midnight in UTC.
        off: Share of the rows on no session.
        missing: Share of the sessions between the first and the last row that have none.
        evenness: Share of the sessions with a row on the rarest day of the week, divided by that on the most frequent.
    """

    name: str
    utc_dates: bool
    off: float
    missing: float
    evenness: float = 1.0

    @property
    def fits(self) -> bool:
        """Whether the calendar fits."""
        return self.off <= MAX_OFF and self.missing <= _MAX_MISSING and self.evenness >= _MIN_EVENNESS

    @property
    def distance(self) -> float:
        """Sum of both shares: 0 if rows and sessions are the same."""
        return self.off + self.missing


def compare_dates(days: DateArray, calendar: MarketCalendar, utc_dates: bool = False) -> CalendarFit:
    """Compare the newest dates with a calendar.

    Args:
        days: `(n,)` datetime64[D], ascending, n >= 1.
        calendar: The calendar.
        utc_dates: Compare the local dates whose midnight has these UTC dates.
    """
    recent = days[-ROWS:]
    if utc_dates:
        recent = sessions_of_utc_dates(recent, calendar.zone)
    sessions = calendar.table(recent[0].astype(object), recent[-1].astype(object)).sessions
    has_row = np.isin(sessions, recent)
    missing = 1 - has_row.mean() if len(sessions) else 1.0
    off = 1 - np.isin(recent, sessions).mean()
    return CalendarFit(calendar.name, utc_dates, float(off), float(missing), _evenness(sessions, has_row))


def _evenness(sessions: DateArray, has_row: NDArray[np.bool_]) -> float:
    weekday = (sessions.astype("datetime64[D]").astype(np.int64) + 3) % 7
    shares = [has_row[weekday == day].mean() for day in range(7) if (weekday == day).any()]
    highest = max(shares, default=0.0)
    return float(min(shares) / highest) if highest else 0.0


def closest(days: DateArray, names: Iterable[str], calendars: CalendarByName) -> str:
    """Return the name of the calendar that is closest to the dates; the first of those that are equally close."""
    return min((compare_dates(days, calendars(name)) for name in names), key=lambda fit: fit.distance).name


def fit_calendar(
    days: DateArray, stated: str, calendars: CalendarByName, likely: Sequence[str] = ()
) -> CalendarFit | None:
    """Return the calendar that fits dates best, which the stated one does not.

    The stated calendar with UTC dates comes first, then the likely ones, then 24/7 and the known weeks. Where a week
    fits best, every exchange is compared too: a week from Sunday to Thursday is also what the dates of an exchange east
    of Greenwich look like when they are a day early, and its holidays decide.

    Args:
        days: `(n,)` datetime64[D], ascending, n >= `MIN_ROWS`.
        stated: Name of the calendar that the source states or that is assumed.
        calendars: Returns a calendar by name.
        likely: Names of calendars that zone, currency or suffix suggest.

    Returns:
        The fit; None if no calendar fits.
    """
    names = tuple(dict.fromkeys((stated, *likely)))
    weeks = (ALWAYS_OPEN, *WEEKS)
    fits = [*_early(days, names, calendars), *_as_written(days, names, calendars)]
    fits += _as_written(days, weeks, calendars)
    best = _best(fits)
    if best is None or best.name not in WEEKS or best.distance == 0:
        return best
    others = [name for name in EXCHANGE_CALENDARS if name not in _SLOW and name not in names]
    return _best([best, *_early(days, others, calendars), *_as_written(days, others, calendars)])


def _as_written(days: DateArray, names: Iterable[str], calendars: CalendarByName) -> list[CalendarFit]:
    return [compare_dates(days, calendars(name)) for name in names]


def _early(days: DateArray, names: Iterable[str], calendars: CalendarByName) -> list[CalendarFit]:
    """Compare the dates as UTC dates of local midnight, where that moves any of them."""
    return [compare_dates(days, calendars(name), utc_dates=True) for name in names if _moves(days, calendars(name))]


def _moves(days: DateArray, calendar: MarketCalendar) -> bool:
    recent = days[-ROWS:]
    return bool((sessions_of_utc_dates(recent, calendar.zone) != recent).any())


def _best(fits: Sequence[CalendarFit]) -> CalendarFit | None:
    good = [fit for fit in fits if fit.fits]
    return min(good, key=lambda fit: fit.distance) if good else None
