"""Market calendars by name: the only importer of exchange_calendars.

A calendar covers explicit bounds. Where the library has no data (an exchange it cannot build, a year it does not know
yet), Monday to Friday is assumed and flagged approximate.
"""

import logging
import threading
import warnings
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from difflib import get_close_matches
from functools import lru_cache

import exchange_calendars
import numpy as np
from exchange_calendars import calendar_utils
from exchange_calendars.errors import CalendarError as LibraryError

from service.errors import CalendarError
from service.market.exchange_codes import WEEKDAYS
from service.market.session_calendar import DateArray, Exactness, MarketCalendar, SessionTable

__all__ = ["MarketCalendar", "SessionTable", "get_calendar"]

_log = logging.getLogger(__name__)
_lock = threading.Lock()

_USUAL = 60
"""Sessions from which an exchange's usual hours are derived."""

_REASON_CHARACTERS = 160
"""Length to which the library's reason is cut in the log: some list every special day since 1990."""

_PARTLY_KNOWN = "calendar %s is known for %s..%s only: Monday to Friday is assumed outside"
_MIDNIGHT = timedelta(0)
_WEEKDAY_CLOSE = timedelta(hours=22)
"""Close of an assumed weekday with unknown hours, UTC: after every exchange's own close of that date, and early enough
that a settle delay ends before the next assumed open at midnight."""


@dataclass(frozen=True, slots=True)
class _Hours:
    """Usual open and close as time since local midnight of the session, and the zone they are local to."""

    opens: timedelta
    closes: timedelta
    zone: tzinfo


def get_calendar(name: str, first: date, last: date | None = None) -> MarketCalendar:
    """Return the calendar of an exchange, built once per name and bounds.

    The bounds are widened to whole years so that callers share tables: from 1 January of the decade of
    `first` to 31 December two years after `last`.

    Args:
        name: A name of exchange_calendars (`XNYS`, `XLON`, `24/7`), an alias (`NYSE`) or `weekdays`.
        first: Oldest date that must be covered.
        last: Newest date that must be covered; None = `first`.

    Returns:
        The calendar; `.approximate` where Monday to Friday is assumed for part or all of it.

    Raises:
        CalendarError: No calendar has that name.
    """
    newest = first if last is None else max(first, last)
    oldest_year, newest_year = first.year - first.year % 10, newest.year + 2
    bounds = (date(max(oldest_year, date.min.year), 1, 1), date(min(newest_year, date.max.year), 12, 31))
    with _lock:
        return _build(_canonical(name), bounds)


@lru_cache(maxsize=256)
def _canonical(name: str) -> str:
    if name == WEEKDAYS:
        return name
    known: list[str] = exchange_calendars.get_calendar_names(include_aliases=True)
    if name not in known:
        near = get_close_matches(name.upper(), known, n=3) or ["XNYS", "XLON", "24/7"]
        raise CalendarError(
            f"there is no calendar named {name!r}; use an exchange's code such as {', '.join(near)}, "
            f"or {WEEKDAYS!r} for Monday to Friday"
        )
    return str(calendar_utils.resolve_alias(name))


@lru_cache(maxsize=128)
def _build(name: str, bounds: tuple[date, date]) -> MarketCalendar:
    if name == WEEKDAYS:
        return _weekdays(name, bounds)
    # Exchanges fail in different ways (no rules, contradicting special days): none may stop the rest.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            known, zone, exact = _known(name, bounds)
    except (ValueError, NotImplementedError, LookupError, LibraryError) as error:
        reason = str(error)[:_REASON_CHARACTERS]
        _log.warning("calendar %s cannot be built (%s): Monday to Friday is assumed, approximate", name, reason)
        return _weekdays(name, bounds)
    if exact == bounds:
        return MarketCalendar(name, bounds, known, zone, Exactness(*bounds))
    late = exact[1] < bounds[1]  # a start before the exchange's records is expected, an end before ours is not
    _log.log(logging.WARNING if late else logging.DEBUG, _PARTLY_KNOWN, name, *exact)
    before = _assumed((bounds[0], exact[0] - timedelta(days=1)), _usual(known, zone, slice(0, _USUAL)))
    after = _assumed((exact[1] + timedelta(days=1), bounds[1]), _usual(known, zone, slice(-_USUAL, None)))
    return MarketCalendar(name, bounds, _join(before, known, after), zone, Exactness(*exact))


def _known(name: str, bounds: tuple[date, date]) -> tuple[SessionTable, tzinfo, tuple[date, date]]:
    """Return what the library knows between the bounds, clamped to its own bounds."""
    # The class, not an instance, has the bounds before anything is built.
    kind = calendar_utils._default_calendar_factories[name]
    oldest, newest = kind.bound_min(), kind.bound_max()
    first = bounds[0] if oldest is None else max(bounds[0], oldest.date())
    last = bounds[1] if newest is None else min(bounds[1], newest.date())
    if first > last:
        raise ValueError(f"it has no session between {bounds[0]} and {bounds[1]}")
    calendar = exchange_calendars.get_calendar(name, start=first.isoformat(), end=last.isoformat())
    table = SessionTable(
        calendar.sessions.to_numpy().astype("datetime64[D]"),
        calendar.opens.dt.tz_convert(None).to_numpy().astype("datetime64[s]"),
        calendar.closes.dt.tz_convert(None).to_numpy().astype("datetime64[s]"),
    )
    zone: tzinfo = calendar.tz
    return table, zone, (first, last)


def _usual(table: SessionTable, zone: tzinfo, some: slice) -> _Hours:
    """Return the most common local hours of sessions: early closes are the minority."""
    days = [datetime.combine(day.astype(object), datetime.min.time()) for day in table.sessions[some]]

    def commonest(instants: DateArray) -> timedelta:
        local = [instant.astype(object).replace(tzinfo=UTC).astimezone(zone) for instant in instants]
        spans: Counter[timedelta] = Counter(at.replace(tzinfo=None) - day for at, day in zip(local, days, strict=True))
        return spans.most_common(1)[0][0]

    return _Hours(commonest(table.open_at[some]), commonest(table.close_at[some]), zone)


def _weekdays(name: str, bounds: tuple[date, date]) -> MarketCalendar:
    table = _assumed(bounds, _Hours(_MIDNIGHT, _WEEKDAY_CLOSE, UTC))
    return MarketCalendar(name, bounds, table, UTC, Exactness(None, None))


def _assumed(bounds: tuple[date, date], hours: _Hours) -> SessionTable:
    """Every Monday to Friday between the bounds (both inclusive) at the same local hours."""
    days = np.arange(np.datetime64(bounds[0]), np.datetime64(bounds[1]) + 1)
    sessions = days[np.is_busday(days)]

    def instants(span: timedelta) -> DateArray:
        local = (datetime.combine(day.astype(object), datetime.min.time()) + span for day in sessions)
        utc = [at.replace(tzinfo=hours.zone).astimezone(UTC).replace(tzinfo=None) for at in local]
        return np.array(utc, dtype="datetime64[s]")

    return SessionTable(sessions, instants(hours.opens), instants(hours.closes))


def _join(*tables: SessionTable) -> SessionTable:
    return SessionTable(
        np.concatenate([table.sessions for table in tables]),
        np.concatenate([table.open_at for table in tables]),
        np.concatenate([table.close_at for table in tables]),
    )
