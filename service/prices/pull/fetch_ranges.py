"""First session to fetch of each symbol: overlap, missing sessions and suspects are fetched again."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import numpy as np
from sqlalchemy import Connection, select

from service.db.bulk.row_loader import days_array
from service.db.tables import bars
from service.market.instruments import Instrument
from service.market.session_calendar import MarketCalendar
from service.prices.quarantine.row_quarantine import Quarantined, list_quarantine
from service.vocabulary import QuarantineState

HEAL_DAYS = 30
"""Calendar days for which a missing session is retried; vendors repair within this time or never."""

Calendars = Callable[[str, date, date], MarketCalendar]
"""Name, first and last date -> calendar; `service.market.exchange_calendar.get_calendar`."""


_MARGIN = timedelta(days=200)
"""Margin around the requested dates: a hundred sessions of overlap back, and the sessions ahead that are written."""

_EARLIEST = date(1990, 1, 1)


def calendar_around(calendars: Calendars, name: str, oldest: date, newest: date) -> MarketCalendar:
    """Return a calendar that reaches a margin beyond both dates.

    Its bounds start in 1990 if possible, so that one calendar serves every symbol of an exchange.
    """
    return calendars(name, min(oldest - _MARGIN, _EARLIEST), newest + _MARGIN)


def plan_starts(
    connection: Connection, instruments: Sequence[Instrument], session: date, overlap: int, calendars: Calendars
) -> dict[str, date | None]:
    """Return the first session to fetch by symbol: the oldest of overlap, missing sessions and suspects.

    A session marked as closed is fetched like a missing one: an outage of the source looks the same.

    Args:
        connection: Any connection.
        instruments: Instruments as stored now.
        session: The session the pull is for.
        overlap: Stored sessions that are read again.
        calendars: Returns a calendar by name and bounds.

    Returns:
        A first session (inclusive) by symbol; None = the whole history, where nothing is stored yet.
    """
    oldest = session - timedelta(days=HEAL_DAYS)
    symbols = [instrument.symbol for instrument in instruments]
    stored = _recent(connection, symbols, oldest)
    suspects: dict[str, date] = {}
    for record in list_quarantine(connection, symbols, QuarantineState.OPEN):
        if record.session is not None and _is_retried(record, oldest):
            suspects.setdefault(record.symbol, record.session)
    starts: dict[str, date | None] = {}
    for one in instruments:
        if one.first_session is None or one.last_session is None:
            starts[one.symbol] = None
            continue
        calendar = calendar_around(calendars, one.calendar, min(oldest, one.last_session), session)
        candidates = [calendar.previous(min(session, one.last_session + timedelta(days=1)), overlap)]
        hole = _oldest_hole(calendar, (max(oldest, one.first_session), session), stored[one.symbol])
        starts[one.symbol] = min([*candidates, *hole, *([suspects[one.symbol]] if one.symbol in suspects else [])])
    return starts


def _is_retried(record: Quarantined, oldest: date) -> bool:
    # A suspect that repetition cannot settle is not worth fetching years of history for in each pull.
    return record.session is not None and (record.clears or record.session >= oldest)


def _recent(connection: Connection, symbols: Sequence[str], oldest: date) -> dict[str, list[date]]:
    query = select(bars.c.symbol, bars.c.session).where(bars.c.symbol.in_(list(symbols)), bars.c.session >= oldest)
    found: dict[str, list[date]] = {symbol: [] for symbol in symbols}
    for symbol, day in connection.execute(query):
        found[symbol].append(day)
    return found


def _oldest_hole(calendar: MarketCalendar, span: tuple[date, date], stored: list[date]) -> list[date]:
    first, last = span
    if first > last:
        return []
    expected = calendar.table(first, last).sessions
    absent = expected[~np.isin(expected, days_array(stored))]
    return [] if len(absent) == 0 else [absent[0].astype("datetime64[D]").astype(object)]
