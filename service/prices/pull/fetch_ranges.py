"""From which session on each symbol is asked for again: never "the last stored day plus one"."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import numpy as np
from sqlalchemy import Connection, select

from service.db.bulk.row_loader import days_array
from service.db.tables import bars
from service.market.instruments import Instrument
from service.market.session_calendar import MarketCalendar
from service.prices.quarantine.row_quarantine import Quarantined, list_quarantine

HEAL_DAYS = 30
"""Calendar days for which a hole is asked for again; vendors mend within this time or not at all."""

Calendars = Callable[[str, date, date], MarketCalendar]
"""Name, first and last date -> calendar; `service.market.exchange_calendar.get_calendar`."""


_MARGIN = timedelta(days=200)
"""Beyond the dates asked for: a hundred sessions of overlap back, and those ahead that are written."""

_EARLIEST = date(1990, 1, 1)


def calendar_around(calendars: Calendars, name: str, oldest: date, newest: date) -> MarketCalendar:
    """A calendar that reaches a margin beyond both dates.

    Its bounds start in 1990 where that is enough, so that one calendar serves every symbol of an exchange.
    """
    return calendars(name, min(oldest - _MARGIN, _EARLIEST), newest + _MARGIN)


def plan_starts(
    connection: Connection, instruments: Sequence[Instrument], session: date, overlap: int, calendars: Calendars
) -> dict[str, date | None]:
    """First session to ask for, by symbol: the oldest of the overlap, the oldest hole and the oldest suspect.

    A session judged closed is asked for like a hole: an outage of the source looks the same.

    Args:
        connection: Any connection.
        instruments: Whom to plan for, as they stand in the database now.
        session: The session the pull is for.
        overlap: Stored sessions that are read again.
        calendars: Where calendars come from.

    Returns:
        A first session (inclusive) by symbol; None = the whole history, where nothing is stored yet.
    """
    oldest = session - timedelta(days=HEAL_DAYS)
    symbols = [instrument.symbol for instrument in instruments]
    stored = _recent(connection, symbols, oldest)
    suspects: dict[str, date] = {}
    for record in list_quarantine(connection, symbols, "open"):
        if record.session is not None and _asks_again(record, oldest):
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


def _asks_again(record: Quarantined, oldest: date) -> bool:
    # What repetition cannot settle is not worth reading years again every night.
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
