"""Market calendars by name: the only importer of exchange_calendars.

A calendar covers explicit bounds. Where the library has no data (an exchange that it cannot build, a year that it does
not cover yet), every Monday to Friday is assumed to be a session and flagged approximate.
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
from service.market.session_calendar import DateArray, DateBounds, Exactness, MarketCalendar, SessionTable
from service.vocabulary import ALWAYS_OPEN

__all__ = ["MarketCalendar", "SessionTable", "get_calendar"]

_log = logging.getLogger(__name__)
_lock = threading.Lock()

_HOURS_SAMPLE = 60
"""Number of sessions from which an exchange's usual hours are derived."""

_REASON_CHARACTERS = 160
"""Characters of the library's reason that the log keeps: some reasons list every special day since 1990."""

_PARTLY_COVERED = "calendar %s is known for %s..%s only: Monday to Friday is assumed outside"
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

    The bounds are widened so that callers share tables: from 1 January of the decade of `first` to 31 December two
    years after `last`.

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
    bounds = DateBounds(date(max(oldest_year, date.min.year), 1, 1), date(min(newest_year, date.max.year), 12, 31))
    with _lock:
        return _build(_canonical(name), bounds)


@lru_cache(maxsize=256)
def _canonical(name: str) -> str:
    if name == WEEKDAYS:
        return name
    names: list[str] = exchange_calendars.get_calendar_names(include_aliases=True)
    if name not in names:
        suggestions = get_close_matches(name.upper(), names, n=3) or ["XNYS", "XLON", ALWAYS_OPEN]
        raise CalendarError(
            f"there is no calendar named {name!r}; use an exchange's code such as {', '.join(suggestions)}, "
            f"or {WEEKDAYS!r} for Monday to Friday"
        )
    return str(calendar_utils.resolve_alias(name))


@lru_cache(maxsize=128)
def _build(name: str, bounds: DateBounds) -> MarketCalendar:
    if name == WEEKDAYS:
        return _weekday_calendar(name, bounds)
    # Exchanges fail in different ways (no rules, contradictory special days); one failure must not stop the others.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            covered, zone, exact = _library_sessions(name, bounds)
    except (ValueError, NotImplementedError, LookupError, LibraryError) as error:
        reason = str(error)[:_REASON_CHARACTERS]
        _log.warning("calendar %s cannot be built (%s): Monday to Friday is assumed, approximate", name, reason)
        return _weekday_calendar(name, bounds)
    if exact == bounds:
        return MarketCalendar(name, bounds, covered, zone, Exactness(bounds.first, bounds.last))
    # A start before the exchange's records is expected; an end before the requested one is not.
    ends_early = exact.last < bounds.last
    _log.log(logging.WARNING if ends_early else logging.DEBUG, _PARTLY_COVERED, name, exact.first, exact.last)
    day = timedelta(days=1)
    first_hours = _usual_hours(covered, zone, slice(0, _HOURS_SAMPLE))
    last_hours = _usual_hours(covered, zone, slice(-_HOURS_SAMPLE, None))
    before = _assumed(bounds.first, exact.first - day, first_hours)
    after = _assumed(exact.last + day, bounds.last, last_hours)
    return MarketCalendar(name, bounds, _join(before, covered, after), zone, Exactness(exact.first, exact.last))


def _library_sessions(name: str, bounds: DateBounds) -> tuple[SessionTable, tzinfo, DateBounds]:
    """Return the library's sessions between the bounds, the time zone, and the dates that it covers."""
    # The class, not an instance, has the bounds before anything is built.
    factory = calendar_utils._default_calendar_factories[name]
    oldest, newest = factory.bound_min(), factory.bound_max()
    first = bounds.first if oldest is None else max(bounds.first, oldest.date())
    last = bounds.last if newest is None else min(bounds.last, newest.date())
    if first > last:
        raise ValueError(f"it has no session between {bounds.first} and {bounds.last}")
    calendar = exchange_calendars.get_calendar(name, start=first.isoformat(), end=last.isoformat())
    table = SessionTable(
        calendar.sessions.to_numpy().astype("datetime64[D]"),
        calendar.opens.dt.tz_convert(None).to_numpy().astype("datetime64[s]"),
        calendar.closes.dt.tz_convert(None).to_numpy().astype("datetime64[s]"),
    )
    zone: tzinfo = calendar.tz
    return table, zone, DateBounds(first, last)


def _usual_hours(table: SessionTable, zone: tzinfo, rows: slice) -> _Hours:
    """Return the most common local hours of some sessions: early closes are the minority."""
    days = [datetime.combine(day.astype(object), datetime.min.time()) for day in table.sessions[rows]]

    def most_common(instants: DateArray) -> timedelta:
        local = [instant.astype(object).replace(tzinfo=UTC).astimezone(zone) for instant in instants]
        spans: Counter[timedelta] = Counter(at.replace(tzinfo=None) - day for at, day in zip(local, days, strict=True))
        return spans.most_common(1)[0][0]

    return _Hours(most_common(table.open_at[rows]), most_common(table.close_at[rows]), zone)


def _weekday_calendar(name: str, bounds: DateBounds) -> MarketCalendar:
    table = _assumed(bounds.first, bounds.last, _Hours(_MIDNIGHT, _WEEKDAY_CLOSE, UTC))
    return MarketCalendar(name, bounds, table, UTC, Exactness(None, None))


def _assumed(first: date, last: date, hours: _Hours) -> SessionTable:
    """Return every Monday to Friday from `first` to `last` (both inclusive), at the same local hours."""
    days = np.arange(np.datetime64(first), np.datetime64(last) + 1)
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
