"""Full resync in turn: each pull fetches the whole history of one symbol in twenty and compares it.

The overlap of a pull finds corrections of the last sessions only; this finds what a vendor changed further back.
"""

import zlib
from collections.abc import Sequence
from datetime import date

from service.market.instruments import Instrument
from service.prices.pull.fetch_ranges import Calendars, calendar_around

SHARE = 20
"""One symbol in this many is fetched whole in each session, so each once in this many sessions."""

_MODE = date(1990, 1, 1)


def read_whole(instruments: Sequence[Instrument], session: date, calendars: Calendars) -> frozenset[str]:
    """Return the symbols whose whole history is fetched again in a session; deterministic.

    Args:
        instruments: Instruments of the pull; those without bars are left out.
        session: The session the pull is for.
        calendars: Returns a calendar by name and bounds.
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
