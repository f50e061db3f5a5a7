"""The rolling safety net: each pull reads the whole history of one symbol in twenty again, and compares.

The nightly overlap sees corrections of the last sessions alone; whatever a vendor changes further back is found here.
"""

import zlib
from collections.abc import Sequence
from datetime import date

from service.market.instruments import Instrument
from service.prices.pull.fetch_ranges import Calendars, calendar_around

SHARE = 20
"""One symbol in so many is read whole in each session: each of them once in so many sessions."""

_MODE = date(1990, 1, 1)


def read_whole(instruments: Sequence[Instrument], session: date, calendars: Calendars) -> frozenset[str]:
    """Symbols whose whole stored history is read again in a session; the same whoever asks, and how often.

    Args:
        instruments: Whom the pull asks for; those without bars are left out.
        session: The session the pull is for.
        calendars: Where calendars come from.
    """
    places: dict[str, int] = {}
    chosen = []
    for one in instruments:
        if one.first_session is None:
            continue
        if one.calendar not in places:
            calendar = calendar_around(calendars, one.calendar, _MODE, session)
            places[one.calendar] = len(calendar.table(_MODE, session)) % SHARE
        if zlib.crc32(one.symbol.encode()) % SHARE == places[one.calendar]:
            chosen.append(one.symbol)
    return frozenset(chosen)
