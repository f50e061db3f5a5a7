"""Market calendars by name: the only importer of exchange_calendars.

A calendar covers explicit bounds. Where the library has no data (an exchange that it does not know, years that it
cannot build or does not cover yet), the exchange's usual week without holidays is assumed and flagged approximate.
"""

import logging
import re
import threading
import warnings
from collections import Counter
from datetime import UTC, date, datetime, timedelta, tzinfo
from difflib import get_close_matches
from functools import lru_cache
from itertools import pairwise

import exchange_calendars
from exchange_calendars import calendar_utils
from exchange_calendars.errors import CalendarError as LibraryError

from service.errors import CalendarError
from service.market.assumed_sessions import (
    ASSUMED_EXCHANGES,
    UNKNOWN_HOURS,
    UsualHours,
    Weeks,
    assumed_sessions,
    week_of,
)
from service.market.exchange_codes import MONDAY_TO_FRIDAY, WEEKDAYS, WEEKS
from service.market.session_calendar import (
    DateArray,
    DateBounds,
    Exactness,
    MarketCalendar,
    SessionTable,
    join_tables,
)
from service.vocabulary import ALWAYS_OPEN

__all__ = ["MarketCalendar", "SessionTable", "get_calendar"]

_log = logging.getLogger(__name__)
_lock = threading.Lock()

_HOURS_SAMPLE = 60
"""Number of sessions from which an exchange's usual hours and week are derived."""

_REASON_CHARACTERS = 160
"""Characters of the library's reason that the log keeps: some reasons list every special day since 1990."""

_MAX_FAILURES = 14
"""Number of ranges that the library may fail to build before the rest is assumed; each failure costs up to 0.5 s."""

_SHORTEST = timedelta(days=32)
"""Length of a range that is not divided further when the library cannot build it."""

_PARTLY_COVERED = "calendar %s is known for %s only: its usual week is assumed elsewhere, approximate"
_FAILURES = (ValueError, NotImplementedError, LookupError, LibraryError)
"""Exchanges fail in different ways (no rules, contradictory special days); one failure must not stop the others."""

_WRONG = frozenset({"XTAE"})
"""Calendars of the library that are not used: with pandas 3 it puts the Jewish holidays near Easter."""

_DAY = timedelta(days=1)
_YEAR = timedelta(days=365)
_ISO_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")

_Part = tuple[DateBounds, SessionTable, tzinfo]
"""A span that the library covers, its sessions, and the exchange's time zone."""


def get_calendar(name: str, first: date, last: date | None = None) -> MarketCalendar:
    """Return the calendar of an exchange, built once per name and bounds.

    The bounds are widened so that callers share tables: from 1 January of the decade of `first` to 31 December two
    years after `last`.

    Args:
        name: A name of exchange_calendars (`XNYS`, `XLON`, `24/7`), an alias (`NYSE`), an exchange of
            `ASSUMED_EXCHANGES` (`XKUW`), or a week of `WEEKS` (`weekdays`, `sun-thu`).
        first: Oldest date that must be covered.
        last: Newest date that must be covered; None = `first`.

    Returns:
        The calendar; `.approximate` where the usual week is assumed for part or all of it.

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
    if name in WEEKS or name in ASSUMED_EXCHANGES:
        return name
    names: list[str] = exchange_calendars.get_calendar_names(include_aliases=True)
    if name not in names:
        known = [*names, *ASSUMED_EXCHANGES]
        suggestions = get_close_matches(name.upper(), known, n=3) or ["XNYS", "XLON", ALWAYS_OPEN]
        raise CalendarError(
            f"there is no calendar named {name!r}; use an exchange's code such as {', '.join(suggestions)}, "
            f"or {WEEKDAYS!r} for Monday to Friday"
        )
    return str(calendar_utils.resolve_alias(name))


@lru_cache(maxsize=128)
def _build(name: str, bounds: DateBounds) -> MarketCalendar:
    exchange = ASSUMED_EXCHANGES.get(name)
    hours, weeks = (exchange.hours, exchange.weeks) if exchange else (UNKNOWN_HOURS, _single_week(WEEKS.get(name)))
    if name not in calendar_utils._default_calendar_factories:
        return _assumed_calendar(name, bounds, hours, weeks)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts, reason = _library_parts(name, bounds)
    if not parts:
        _log.warning("calendar %s cannot be built (%s): its usual week is assumed, approximate", name, reason)
        return _assumed_calendar(name, bounds, hours, weeks)
    exact = _exactness([part[0] for part in parts])
    zone = parts[-1][2]
    if exact != Exactness(bounds.first, bounds.last):
        # A start before the exchange's records is expected; an end before the requested one, or a gap, is not.
        is_unexpected = exact.gaps or exact.last != bounds.last
        spans = ", ".join(f"{span.first}..{span.last}" for span, _, _ in parts)
        _log.log(logging.WARNING if is_unexpected else logging.DEBUG, _PARTLY_COVERED, name, spans)
    return MarketCalendar(name, bounds, _filled(parts, bounds, exchange.weeks if exchange else None), zone, exact)


def _single_week(week: str | None) -> Weeks:
    return ((None, week or MONDAY_TO_FRIDAY),)


def _assumed_calendar(name: str, bounds: DateBounds, hours: UsualHours, weeks: Weeks) -> MarketCalendar:
    table = assumed_sessions(bounds.first, bounds.last, hours, weeks)
    return MarketCalendar(name, bounds, table, hours.zone, Exactness(None, None))


def _library_parts(name: str, bounds: DateBounds) -> tuple[list[_Part], str]:
    """Return the ranges that the library can build, oldest first, and its first reason for one that it cannot.

    A range that fails is divided, the newer part first, until the fault is left out.
    """
    if name in _WRONG:
        return [], "the library computes its holidays wrongly"
    # The class, not an instance, has the bounds before anything is built.
    factory = calendar_utils._default_calendar_factories[name]
    oldest, newest = factory.bound_min(), factory.bound_max()
    first = bounds.first if oldest is None else max(bounds.first, oldest.date())
    last = bounds.last if newest is None else min(bounds.last, newest.date())
    if first > last:
        return [], f"it has no session between {bounds.first} and {bounds.last}"
    parts: list[_Part] = []
    reasons: list[str] = []
    ranges = [DateBounds(first, last)]
    while ranges and len(reasons) < _MAX_FAILURES:
        span = ranges.pop()
        try:
            table, zone = _library_sessions(name, span)
            parts.append((span, table, zone))
        except _FAILURES as error:
            reasons.append(str(error)[:_REASON_CHARACTERS])
            if isinstance(error, NotImplementedError):
                break  # a rule of the exchange is missing: no year can be built
            ranges += _around_fault(span, str(error))
    return sorted(parts, key=lambda part: part[0].first), reasons[0] if reasons else ""


def _around_fault(span: DateBounds, reason: str) -> list[DateBounds]:
    """Return the parts of a range to build instead, oldest first.

    The library names the special dates that contradict its sessions: the parts are those without such dates for a
    year. A range without named dates is halved.
    """
    named = sorted({date.fromisoformat(text) for text in _ISO_DATE.findall(reason)})
    faults = [day for day in named if span.first <= day <= span.last]
    if faults:
        edges = [span.first - _DAY, *faults, span.last + _DAY]
        parts = [DateBounds(before + _DAY, after - _DAY) for before, after in pairwise(edges)]
        inner = range(1, len(parts) - 1)
        return [
            part
            for index, part in enumerate(parts)
            if part.last - part.first >= (_YEAR if index in inner else _SHORTEST)
        ]
    if span.last - span.first <= _SHORTEST:
        return []
    middle = span.first + (span.last - span.first) // 2
    return [DateBounds(span.first, middle), DateBounds(middle + _DAY, span.last)]


def _library_sessions(name: str, span: DateBounds) -> tuple[SessionTable, tzinfo]:
    calendar = exchange_calendars.get_calendar(name, start=span.first.isoformat(), end=span.last.isoformat())
    table = SessionTable(
        calendar.sessions.to_numpy().astype("datetime64[D]"),
        calendar.opens.dt.tz_convert(None).to_numpy().astype("datetime64[s]"),
        calendar.closes.dt.tz_convert(None).to_numpy().astype("datetime64[s]"),
    )
    zone: tzinfo = calendar.tz
    return table, zone


def _exactness(spans: list[DateBounds]) -> Exactness:
    gaps = [
        DateBounds(before.last + _DAY, after.first - _DAY)
        for before, after in pairwise(spans)
        if before.last + _DAY < after.first
    ]
    return Exactness(spans[0].first, spans[-1].last, tuple(gaps))


def _filled(parts: list[_Part], bounds: DateBounds, weeks: Weeks | None) -> SessionTable:
    """Return the sessions of the parts, and the assumed ones before, between and after them."""
    tables: list[SessionTable] = []
    begin = bounds.first
    for index, (span, table, zone) in enumerate(parts):
        if begin < span.first:
            # A gap repeats the habits of the part before it; before the first part there is only the first part.
            near, rows = (table, slice(0, _HOURS_SAMPLE)) if index == 0 else (parts[index - 1][1], _LAST_ROWS)
            tables.append(_assumed_like(near, zone, rows, DateBounds(begin, span.first - _DAY), weeks))
        tables.append(table)
        begin = span.last + _DAY
    if begin <= bounds.last:
        span, table, zone = parts[-1]
        tables.append(_assumed_like(table, zone, _LAST_ROWS, DateBounds(begin, bounds.last), weeks))
    return join_tables(tables)


_LAST_ROWS = slice(-_HOURS_SAMPLE, None)


def _assumed_like(
    table: SessionTable, zone: tzinfo, rows: slice, span: DateBounds, weeks: Weeks | None
) -> SessionTable:
    hours = _usual_hours(table, zone, rows)
    return assumed_sessions(span.first, span.last, hours, weeks or _single_week(week_of(table.sessions[rows])))


def _usual_hours(table: SessionTable, zone: tzinfo, rows: slice) -> UsualHours:
    """Return the most common local hours of some sessions: early closes are the minority."""
    days = [datetime.combine(day.astype(object), datetime.min.time()) for day in table.sessions[rows]]

    def most_common(instants: DateArray) -> timedelta:
        local = [instant.astype(object).replace(tzinfo=UTC).astimezone(zone) for instant in instants]
        spans: Counter[timedelta] = Counter(at.replace(tzinfo=None) - day for at, day in zip(local, days, strict=True))
        return spans.most_common(1)[0][0]

    return UsualHours(most_common(table.open_at[rows]), most_common(table.close_at[rows]), zone)
