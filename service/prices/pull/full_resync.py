"""Selects the symbols whose whole history a pull fetches and compares: one in twenty, in turn.

The overlap of a pull finds corrections of the last sessions only; a full resync finds older corrections of the vendor.
"""

import zlib
from collections.abc import Sequence
from datetime import date

from service.market.instruments import Instrument
from service.prices.pull.fetch_ranges import CalendarFactory, calendar_around

SHARE = 20
"""One symbol in this many is fetched whole in each session, so each symbol once in this many sessions."""

_FIRST_COUNTED = date(1990, 1, 1)
"""Date from which the sessions of a calendar are numbered."""


def symbols_to_resync(instruments: Sequence[Instrument], session: date, calendars: CalendarFactory) -> frozenset[str]:
    """Return the symbols whose whole history is fetched again in a session; deterministic.

    Args:
        instruments: Instruments of the pull; those without bars are left out.
        session: The session the pull is for.
        calendars: Returns a calendar by name and bounds.
    """
    turns: dict[str, int] = {}
    chosen = []
    for instrument in instruments:
        if instrument.first_session is None:
            continue
        if instrument.calendar not in turns:
            calendar = calendar_around(calendars, instrument.calendar, _FIRST_COUNTED, session)
            turns[instrument.calendar] = len(calendar.table(_FIRST_COUNTED, session)) % SHARE
        if zlib.crc32(instrument.symbol.encode()) % SHARE == turns[instrument.calendar]:
            chosen.append(instrument.symbol)
    return frozenset(chosen)
