"""Reads a column of dates: ISO, compact, day or month first, unix stamps.

A stamp with a time zone gives the date of its own zone, which is the exchange's, never the date in UTC.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from service.market.exchange_calendar import get_calendar
from service.prices.sources.files.limits import OLDEST_YEAR, printable

DateArray = NDArray[np.datetime64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_MONTHS: Final = {name: k for k, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1)}
_TIME = r"(?:[T ,].*)?$"

_YEAR = r"(?P<y>\d{4}|\d{2})"

# name, pattern, what the message shows as the form. The groups are digits or a month's name.
_PATTERNS: Final = (
    ("iso", rf"^(?P<y>\d{{4}})-(?P<m>\d{{1,2}})-(?P<d>\d{{1,2}}){_TIME}", "an ISO date such as 2018-12-31"),
    ("year first", rf"^(?P<y>\d{{4}})[/.](?P<m>\d{{1,2}})[/.](?P<d>\d{{1,2}}){_TIME}", "a date such as 2018/12/31"),
    ("compact", r"^(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})$", "a date such as 20181231"),
    ("unix", r"^-?\d+(?:\.\d*)?$", "a number of seconds since 1970"),
    ("pair", rf"^(?P<a>\d{{1,2}})[./-](?P<b>\d{{1,2}})[./-]{_YEAR}{_TIME}", "a date such as the others"),
    (
        "day name",
        rf"^(?P<d>\d{{1,2}})[ -](?P<n>[A-Za-z]{{3}})[a-z]*\.?[ -]{_YEAR}{_TIME}",
        "a date such as 31-Dec-2018",
    ),
    ("month name", rf"^(?P<n>[A-Za-z]{{3}})[a-z]*\.? (?P<d>\d{{1,2}}), ?{_YEAR}$", "a date such as Dec 31, 2018"),
)
_FORM_OF: Final = {name: form for name, _, form in _PATTERNS}
_PATTERN_OF: Final = {name: pattern for name, pattern, _ in _PATTERNS}

_UNITS: Final = ((1e11, 1, "seconds"), (1e14, 1_000, "milliseconds"), (1e17, 1_000_000, "microseconds"))
_NANOSECONDS: Final = (1_000_000_000, "nanoseconds")
_LEAST_STAMP = 100_000_000
"""Least unix stamp that is read, of 1973; smaller numbers are rather row numbers."""

_SHOWN = 40
_SAMPLE = 5_000
_DAY_SECONDS = 86_400
_NOT_A_DATE = np.datetime64("NaT", "D")


@dataclass(frozen=True, slots=True)
class DateRules:
    """What is needed to read dates.

    Attributes:
        newest_year: Last year that a row may have.
        calendar: Returns the calendar name of the file's symbol: it settles the order of day and month, and the zone
            of unix stamps.
    """

    newest_year: int
    calendar: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Dates:
    """A column of dates.

    Attributes:
        days: `(n,)` datetime64[D]; NaT where a cell is empty, no date, or of a year that is not read.
        empty: `(n,)`, whether the cell is empty.
        bad: `(n,)`, whether the cell is neither empty nor a date in the years that are read.
        reason: Returns why a row is bad.
        notes: What was recognised or assumed, as short phrases.
        unclear: Row at which the order of day and month is unclear for the whole column; None otherwise.
    """

    days: DateArray
    empty: BoolArray
    bad: BoolArray
    reason: Callable[[int], str]
    notes: tuple[str, ...] = ()
    unclear: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class _Parsed:
    days: DateArray
    notes: tuple[str, ...] = ()
    unclear: tuple[int, str] | None = None


def parse_dates(column: Any, rules: DateRules) -> Dates:
    """Read a column of dates; the form that most cells have applies to all.

    Args:
        column: An Arrow column.
        rules: Years, and the calendar of the symbol.
    """
    kind = column.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        # The cast gives the date of the stamp's own zone.
        days = column.cast(pa.date32()).to_numpy().astype("datetime64[D]")
        return _checked(_Parsed(days), np.isnat(days), None, "", rules)
    text = column.cast(pa.string()) if not pa.types.is_floating(kind) else column.cast(pa.int64()).cast(pa.string())
    text = pc.fill_null(pc.utf8_trim_whitespace(text), "")
    empty: BoolArray = pc.equal(text, "").to_numpy()
    name = _form(text)
    if name == "unix":
        parsed = _unix(text, rules)
    elif name == "pair":
        parsed = _pair(text, rules)
    else:
        years, months, days_of = _parts(text, name, rules.newest_year)
        parsed = _Parsed(_dates(years, months, days_of))
    return _checked(parsed, empty, text, name, rules)


def _form(text: Any) -> str:
    """Return the form that most cells of a sample have."""
    if len(text) > _SAMPLE:
        text = text.take(pa.array(np.linspace(0, len(text) - 1, _SAMPLE).astype(np.int64)))
    counts = {
        name: int(pc.sum(pc.match_substring_regex(text, _bare(pattern))).as_py() or 0) for name, pattern, _ in _PATTERNS
    }
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else "iso"


def _checked(parsed: _Parsed, empty: BoolArray, text: Any, name: str, rules: DateRules) -> Dates:
    """Refuse cells that are no date, and years outside those that are read."""
    wrong = np.isnat(parsed.days) & ~empty
    outside = _outside(parsed.days, rules)

    def reason(row: int) -> str:
        if outside[row]:
            year = _years(parsed.days[row : row + 1])[0]
            return f"year {year} is outside {OLDEST_YEAR} to {rules.newest_year}; repair the line"
        cell = _shown(text, row) if text is not None else "'NaT'"
        return f"date {cell} is not {_FORM_OF.get(name, 'a date')}; repair the line"

    days = np.where(outside, _NOT_A_DATE, parsed.days)
    return Dates(days, empty, wrong | outside, reason, parsed.notes, parsed.unclear)


def _shown(text: Any, row: int) -> str:
    return repr(printable(text[row].as_py())[:_SHOWN])


def _years(days: DateArray) -> IntArray:
    return days.astype("datetime64[Y]").astype(np.int64) + 1970


def _outside(days: DateArray, rules: DateRules) -> BoolArray:
    """Return which dates are of a year that is not read."""
    years = _years(days)
    return ~np.isnat(days) & ((years < OLDEST_YEAR) | (years > rules.newest_year))


def _bare(pattern: str) -> str:
    """Return a pattern without names: the search needs none."""
    return re.sub(r"\?P<\w>", "", pattern)


def _parts(text: Any, name: str, newest_year: int) -> tuple[IntArray, IntArray, IntArray]:
    """Return year, month and day of each cell; month 0 where it has another form."""
    found = pc.extract_regex(text, _PATTERN_OF[name])
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    groups = {found.type.field(k).name: found.field(k) for k in range(found.type.num_fields)}
    present = found.is_valid().to_numpy(zero_copy_only=False)
    years = _whole(groups["y"])
    short = present & (pc.binary_length(groups["y"]).fill_null(4).to_numpy(zero_copy_only=False) == 2)
    years = np.where(short, years + np.where(years <= newest_year % 100, 2000, 1900), years)
    if "n" in groups:
        names = pc.utf8_lower(groups["n"]).to_pylist()
        months = np.array([_MONTHS.get(name or "", 0) for name in names], np.int64)
    else:
        months = _whole(groups["m" if "m" in groups else "b"])
    days = _whole(groups["d" if "d" in groups else "a"])
    return years, np.where(present, months, 0), days


def _whole(group: Any) -> IntArray:
    numbers: IntArray = pc.if_else(pc.equal(group, ""), None, group).cast(pa.int64()).fill_null(0).to_numpy()
    return numbers


def _dates(years: IntArray, months: IntArray, days: IntArray) -> DateArray:
    """Return the dates; NaT where a month or day does not exist."""
    valid = (months >= 1) & (months <= 12) & (days >= 1) & (days <= 31) & (years >= 1)
    first = ((np.where(valid, years, 1970) - 1970) * 12 + np.where(valid, months, 1) - 1).astype("datetime64[M]")
    dates = first.astype("datetime64[D]") + (np.where(valid, days, 1) - 1)
    valid &= dates.astype("datetime64[M]") == first
    return np.where(valid, dates, _NOT_A_DATE)


def _pair(text: Any, rules: DateRules) -> _Parsed:
    """Settle the order of day and month: by a 13th month, dots, row order, sessions."""
    years, second, first = _parts(text, "pair", rules.newest_year)
    day_first, month_first = _dates(years, second, first), _dates(years, first, second)
    over_first, over_second = np.flatnonzero(first > 12), np.flatnonzero(second > 12)
    if len(over_first) and len(over_second):
        days_win = len(over_first) >= len(over_second)
        row = int((over_second if days_win else over_first)[0])
        if min(len(over_first), len(over_second)) > 0.05 * max(len(over_first), len(over_second)):
            reason = (
                f"date {_shown(text, row)} has day and month in another order than the lines above; write ISO dates"
            )
            return _Parsed(day_first, unclear=(row, reason))
        return _Parsed(day_first if days_win else month_first)
    if len(over_first):
        return _Parsed(day_first, ("dates are day, month, year",))
    if len(over_second):
        return _Parsed(month_first, ("dates are month, day, year",))
    if pc.match_substring_regex(text, r"^\d{1,2}\.").to_numpy().any():
        return _Parsed(day_first, ("dates are day.month.year",))
    if (day_first == month_first)[~np.isnat(day_first)].all():
        return _Parsed(day_first)
    fits = [(_ordered(days), _share_of_sessions(days, rules)) for days in (day_first, month_first)]
    if fits[0] == fits[1]:
        row = int(np.flatnonzero((day_first != month_first) & ~np.isnat(day_first))[0])
        reason = f"date {_shown(text, row)} can be day or month first and no line settles it; write ISO dates"
        return _Parsed(day_first, unclear=(row, reason))
    if fits[0] > fits[1]:
        return _Parsed(day_first, ("dates assumed to be day, month, year, by their order and sessions",))
    return _Parsed(month_first, ("dates assumed to be month, day, year, by their order and sessions",))


def _ordered(days: DateArray) -> bool:
    steps = np.diff(days[~np.isnat(days)]).astype(np.int64)
    return bool((steps > 0).all() or (steps < 0).all())


def _share_of_sessions(days: DateArray, rules: DateRules) -> float:
    # A calendar up to the year 9999 takes a minute; rows of such years are refused anyway.
    known = days[~np.isnat(days) & ~_outside(days, rules)]
    if len(known) == 0:
        return 0.0
    first, last = known.min().astype(object), known.max().astype(object)
    sessions = get_calendar(rules.calendar(), first, last).table(first, last).sessions
    return float(np.isin(known, sessions.astype("datetime64[D]")).mean())


def _unix(text: Any, rules: DateRules) -> _Parsed:
    """Read unix stamps: whole days in UTC, others in the zone of the exchange."""
    plain = pc.replace_substring_regex(text, r"\..*$", "")
    plain = pc.if_else(
        pc.match_substring_regex(plain, r"^-?(?:\d{1,18}|[1-8]\d{18})$"), plain, pa.scalar(None, pa.string())
    )
    known: BoolArray = plain.is_valid().to_numpy()
    stamps: IntArray = pc.fill_null(plain.cast(pa.int64()), 0).to_numpy()
    usual = float(np.median(np.abs(stamps[known]))) if known.any() else 0.0
    divisor, unit = next(((d, name) for limit, d, name in _UNITS if usual < limit), _NANOSECONDS)
    seconds = stamps // divisor
    known &= np.abs(seconds) < (rules.newest_year + 2 - 1970) * 366 * _DAY_SECONDS
    if usual < _LEAST_STAMP or not known.any():
        return _Parsed(np.full(len(text), _NOT_A_DATE))
    if (seconds[known] % _DAY_SECONDS == 0).all():
        days = (seconds // _DAY_SECONDS).astype("datetime64[D]")
        return _Parsed(np.where(known, days, _NOT_A_DATE), (f"unix {unit} at midnight UTC",))
    begin = datetime(1970, 1, 1, tzinfo=UTC)
    name = rules.calendar()
    calendar = get_calendar(name, date(2000, 1, 1))
    local = [
        calendar.local_date(begin + timedelta(seconds=second)) if good else None
        for second, good in zip(seconds.tolist(), known.tolist(), strict=True)
    ]
    days = np.array([_NOT_A_DATE if day is None else np.datetime64(day, "D") for day in local], "datetime64[D]")
    return _Parsed(days, (f"unix {unit} assumed to be local to {name}",))
