"""Weeks and hours of exchanges where no calendar with holidays is known.

The sessions that follow from them are assumed: each of them is flagged approximate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from service.market.exchange_codes import MONDAY_TO_FRIDAY, WEEKS
from service.market.session_calendar import DateArray, SessionTable

Weeks = Sequence[tuple[date | None, str]]
"""Weeks of an exchange, oldest first: the last date of each (inclusive; None = the newest) and its trading days."""


@dataclass(frozen=True, slots=True)
class UsualHours:
    """Usual open and close as time since local midnight of the session, and the zone they are local to."""

    opens: timedelta
    closes: timedelta
    zone: tzinfo


UNKNOWN_HOURS: Final = UsualHours(timedelta(0), timedelta(hours=22), UTC)
"""Hours of a session with unknown ones: it closes after every exchange's own close of that date, and early enough that
a settle delay ends before the next assumed open at midnight."""


@dataclass(frozen=True, slots=True)
class AssumedExchange:
    """An exchange whose week and hours are known, but not its holidays.

    Attributes:
        hours: Its usual hours.
        weeks: Its weeks, oldest first.
    """

    hours: UsualHours
    weeks: Weeks


def _exchange(zone: str, opens: time, closes: time, weeks: Weeks = ((None, MONDAY_TO_FRIDAY),)) -> AssumedExchange:
    def since_midnight(at: time) -> timedelta:
        return timedelta(hours=at.hour, minutes=at.minute)

    return AssumedExchange(UsualHours(since_midnight(opens), since_midnight(closes), ZoneInfo(zone)), weeks)


_SUNDAY_TO_THURSDAY: Final = WEEKS["sun-thu"]
_ARAB: Final[Weeks] = ((None, _SUNDAY_TO_THURSDAY),)

ASSUMED_EXCHANGES: Final = {
    "XCAI": _exchange("Africa/Cairo", time(10), time(14, 30), _ARAB),
    "XKUW": _exchange("Asia/Kuwait", time(9), time(12, 45), _ARAB),
    "DSMD": _exchange("Asia/Qatar", time(9, 30), time(13, 15), _ARAB),
    "XDFM": _exchange(
        "Asia/Dubai", time(10), time(15), ((date(2022, 1, 2), _SUNDAY_TO_THURSDAY), (None, MONDAY_TO_FRIDAY))
    ),
    "XCOL": _exchange("Asia/Colombo", time(9, 30), time(14, 30)),
    "XSTC": _exchange("Asia/Ho_Chi_Minh", time(9), time(15)),
    "BVCA": _exchange("America/Caracas", time(9), time(13)),
    "ASEX": _exchange("Europe/Athens", time(10, 10), time(17, 20)),
    "XBSE": _exchange("Europe/Bucharest", time(10), time(18)),
    "XTAE": _exchange(
        "Asia/Tel_Aviv", time(9, 59), time(17, 25), ((date(2026, 1, 4), _SUNDAY_TO_THURSDAY), (None, MONDAY_TO_FRIDAY))
    ),
    "XSAU": _exchange(
        "Asia/Riyadh", time(10), time(15, 20), ((date(2013, 6, 28), WEEKS["sat-wed"]), (None, _SUNDAY_TO_THURSDAY))
    ),
}  # fmt: skip
"""Exchanges without a calendar in the library, or with one that it cannot build for some or all years."""


def assumed_sessions(first: date, last: date, hours: UsualHours, weeks: Weeks) -> SessionTable:
    """Return the sessions of a week from `first` to `last` (both inclusive), at the same local hours."""
    parts, begin = [], first
    for until, week in weeks:
        end = last if until is None else min(until, last)
        if begin <= end:
            days = np.arange(np.datetime64(begin), np.datetime64(end) + 1)
            parts.append(days[np.is_busday(days, weekmask=week)])
            begin = end + timedelta(days=1)
    sessions: DateArray = np.concatenate([np.empty(0, "datetime64[D]"), *parts])

    def instants(span: timedelta) -> DateArray:
        local = (datetime.combine(day.astype(object), time()) + span for day in sessions)
        utc = [at.replace(tzinfo=hours.zone).astimezone(UTC).replace(tzinfo=None) for at in local]
        return np.array(utc, dtype="datetime64[s]")

    return SessionTable(sessions, instants(hours.opens), instants(hours.closes))


def week_of(sessions: DateArray) -> str:
    """Return the days of the week on which at least one of some sessions is, from Monday to Sunday as 1."""
    days = set(((sessions.astype(np.int64) + 3) % 7).tolist())
    return "".join("1" if day in days else "0" for day in range(7))
