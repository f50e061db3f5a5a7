"""Computes the first session to fetch of each symbol: overlap, missing and suspect sessions are fetched again."""

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
"""Calendar days for which a missing session is retried: vendors repair it within this time or never."""

CalendarFactory = Callable[[str, date, date], MarketCalendar]
"""Name, first and last date -> calendar; `service.market.exchange_calendar.get_calendar`."""

_MARGIN = timedelta(days=200)
"""Margin around the requested dates: a hundred sessions of overlap back, and the sessions ahead that are written."""

_BEFORE_EX_DATE = timedelta(days=10)
"""Calendar days before an ex-date that hold a session of any calendar."""

_EARLIEST = date(1990, 1, 1)


def calendar_around(calendars: CalendarFactory, name: str, oldest: date, newest: date) -> MarketCalendar:
    """Return a calendar that reaches a margin beyond both dates.

    Its bounds start in 1990 if possible, so that one calendar serves every symbol of an exchange.
    """
    return calendars(name, min(oldest - _MARGIN, _EARLIEST), newest + _MARGIN)


def plan_starts(
    connection: Connection, instruments: Sequence[Instrument], session: date, overlap: int, calendars: CalendarFactory
) -> dict[str, date | None]:
    """Return the first session to fetch by symbol: the oldest of overlap, missing and suspect sessions.

    A session marked as closed is fetched like a missing one, because an outage of the source looks the same.

    Args:
        connection: Any connection.
        instruments: Instruments as stored now.
        session: The session the pull is for.
        overlap: Number of stored sessions that are fetched again.
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
            # A dividend is compared with the close before its ex-date.
            first = record.session - _BEFORE_EX_DATE if record.is_action else record.session
            suspects[record.symbol] = min(first, suspects.get(record.symbol, first))
    starts: dict[str, date | None] = {}
    for instrument in instruments:
        symbol = instrument.symbol
        if instrument.first_session is None or instrument.last_session is None:
            starts[symbol] = None
            continue
        calendar = calendar_around(calendars, instrument.calendar, min(oldest, instrument.last_session), session)
        overlap_start = calendar.previous(min(session, instrument.last_session + timedelta(days=1)), overlap)
        missing = _oldest_missing(calendar, max(oldest, instrument.first_session), session, stored[symbol])
        candidates = (overlap_start, missing, suspects.get(symbol))
        starts[symbol] = min(day for day in candidates if day is not None)
    return starts


def _is_retried(record: Quarantined, oldest: date) -> bool:
    # A suspect that repetition cannot settle does not justify fetching years of history in each pull.
    return record.session is not None and (record.clears or record.session >= oldest)


def _recent(connection: Connection, symbols: Sequence[str], oldest: date) -> dict[str, list[date]]:
    query = select(bars.c.symbol, bars.c.session).where(bars.c.symbol.in_(list(symbols)), bars.c.session >= oldest)
    found: dict[str, list[date]] = {symbol: [] for symbol in symbols}
    for symbol, day in connection.execute(query):
        found[symbol].append(day)
    return found


def _oldest_missing(calendar: MarketCalendar, first: date, last: date, stored: list[date]) -> date | None:
    if first > last:
        return None
    expected = calendar.table(first, last).sessions
    missing = expected[~np.isin(expected, days_array(stored))]
    if len(missing) == 0:
        return None
    oldest: date = missing[0].astype("datetime64[D]").astype(object)
    return oldest
