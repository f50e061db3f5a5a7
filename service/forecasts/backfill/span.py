"""Checks the request of a backfill: sessions, symbols, and the cut of its random walk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from service.db.tables import instruments
from service.errors import NotFound, SettingsError
from service.market.sessions import closed_sessions
from service.runtime.context import ServiceContext
from service.vocabulary import SymbolState

_BEFORE = timedelta(days=30)
"""How far before the first session closures are read; includes the session before it."""


@dataclass(frozen=True, slots=True)
class BackfillRequest:
    """Request of a backfill.

    Attributes:
        calendar: A calendar's name or alias.
        first: First as_of (inclusive); need not be a session.
        last: Last as_of (inclusive); need not be a session.
        symbols: Only these; none = every active symbol of the calendar.
    """

    calendar: str
    first: date
    last: date
    symbols: tuple[str, ...] = ()

    @staticmethod
    def of(calendar: str, parameters: Mapping[str, Any]) -> "BackfillRequest":
        """Return a request from its plain JSON: `first`, `last` and `symbols`."""
        first, last = (date.fromisoformat(str(parameters[name])) for name in ("first", "last"))
        return BackfillRequest(calendar, first, last, tuple(parameters.get("symbols") or ()))

    @property
    def parameters(self) -> dict[str, Any]:
        """The request as plain JSON, without its calendar."""
        return {"first": self.first.isoformat(), "last": self.last.isoformat(), "symbols": sorted(self.symbols)}


@dataclass(frozen=True, slots=True)
class BackfillSpan:
    """A checked request.

    Attributes:
        calendar: The calendar's own name.
        sessions: as_of sessions that are final and whose T has opened, oldest first.
        symbols: Active symbols, sorted.
        cut_at: Final instant of the session before the first one, aware UTC.
    """

    calendar: str
    sessions: tuple[date, ...]
    symbols: tuple[str, ...]
    cut_at: datetime


def check_span(context: ServiceContext, request: BackfillRequest, now: datetime) -> BackfillSpan:
    """Return the sessions and symbols of a request; sets the unscheduled closures of the calendars.

    Args:
        context: The service's parts.
        request: Calendar, dates and symbols.
        now: Aware UTC market time at which the backfill was requested.

    Raises:
        CalendarError: the calendar does not exist.
        SettingsError: the dates are in the wrong order, or contain no past session.
        NotFound: no symbol of the watchlist matches, or none has a bar yet.
    """
    calendars = context.calendars
    calendar = calendars.get(request.calendar).name
    if request.first > request.last:
        raise SettingsError(
            f"--from {request.first} is after --to {request.last}; give the older session first, both are included"
        )
    with context.database.reading() as connection:
        calendars.widen(now)
        symbols, oldest = _symbols(connection, calendar, request.symbols)
        first, last = max(request.first, oldest, calendars.get(calendar).first + _BEFORE), min(request.last, now.date())
        calendars.set_closed(closed_sessions(connection, first - _BEFORE))
    days = calendars.sessions(calendar, first, last) if first <= last else []
    past = tuple(
        day for day in days if calendars.final_at(calendar, day) <= now and calendars.deadline(calendar, day) <= now
    )
    if not past:
        raise SettingsError(_no_session(context, calendar, now, request, oldest))
    before = calendars.get(calendar).previous(past[0])
    while calendars.is_closed(calendar, before):
        before = calendars.get(calendar).previous(before)
    return BackfillSpan(calendar, past, symbols, calendars.final_at(calendar, before))


def _symbols(connection: Connection, calendar: str, requested: Sequence[str]) -> tuple[tuple[str, ...], date]:
    """Return the symbols to backfill and their first session with a bar.

    Without requested symbols these are all active ones of the calendar.
    """
    query = select(instruments.c.symbol, instruments.c.first_session).where(
        instruments.c.calendar == calendar, instruments.c.active, instruments.c.state != SymbolState.UNKNOWN
    )
    firsts = {symbol: first for symbol, first in connection.execute(query.order_by(instruments.c.symbol))}
    if not firsts:
        raise NotFound(f"no symbol of the watchlist trades on {calendar}; see `tplus symbols list`")
    unknown = [symbol for symbol in requested if symbol not in firsts]
    if unknown:
        raise NotFound(
            f"{', '.join(unknown)}: not among the watchlist's symbols of {calendar}; see `tplus symbols list`"
        )
    chosen = tuple(symbol for symbol in firsts if symbol in requested or not requested)
    starts = [firsts[symbol] for symbol in chosen if firsts[symbol] is not None]
    if not starts:
        raise NotFound(f"{', '.join(chosen)}: no bar is stored yet; pull them first with `tplus pull`")
    return chosen, min(starts)


def _no_session(context: ServiceContext, calendar: str, now: datetime, request: BackfillRequest, oldest: date) -> str:
    """Return why a range contains no session for a backfill."""
    start = f"{calendar} has no session from {request.first} to {request.last} for a backfill"
    if request.last < oldest:
        return f"{start}: the first bar is of {oldest}; use a later range"
    newest = context.calendars.newest_final(calendar, now)
    while newest is not None and context.calendars.deadline(calendar, newest) > now:
        newest = context.calendars.get(calendar).previous(newest)
    if newest is not None and request.first > newest:
        return (
            f"{start}: the newest one whose T has opened is {newest}; later ones are forecast on time by the scheduler"
        )
    return f"{start}: the market was closed; use a longer range"
