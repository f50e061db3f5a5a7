"""Adds and removes symbols; a new one is checked against the price source first."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, select

from service.db.change_counters import raise_changes
from service.db.tables import instruments
from service.errors import SettingsError
from service.market.instruments import (
    Instrument,
    add_symbols,
    check_name,
    check_watchlist_size,
    choose_for_symbol,
    list_instruments,
    remove_symbols,
    set_state,
)
from service.prices.pull.probe import Probe, pick_probes
from service.prices.sources.base import NoData, Transient, UnknownSymbol
from service.run_requests.store import RunRequest
from service.runtime.context import ServiceContext
from service.scheduler.run_requests.carried import Action, Carried
from service.vocabulary import SymbolState

_WINDOW = timedelta(days=14)
"""How far back a new symbol is fetched to see whether the source has it; the pull fetches its history."""

EMPTY_WATCHLIST = (
    "the watchlist is empty: nothing is forecast until a symbol is added, reference series are still pulled"
)
"""Note of the removal of the last symbol."""


def check_new_symbol(context: ServiceContext, request: RunRequest) -> Action:
    """Return what adds a symbol to the watchlist, after the source has answered for it.

    Raises:
        CalendarError, SettingsError: the request does not fit the settings; the message says why.
        Malformed, UnknownSymbol: the source does not have it, or cannot read it.
        RateLimited, Transient: the source does not answer now.
    """
    body = request.body
    symbol = check_name(str(body["symbol"]))
    group, calendar = _chosen(context, symbol, body)
    with context.database.reading() as connection:
        known = list_instruments(connection, [symbol])
    is_pulled = bool(known) and known[0].first_session is not None and known[0].state == SymbolState.OK
    note = None if is_pulled else _require_source(context, symbol)

    def write(connection: Connection) -> Carried:
        market_now = context.market.now(connection)
        check_watchlist_size(connection, [symbol], context.settings.max_symbols)
        before = list_instruments(connection, [symbol])
        add_symbols(connection, [symbol], market_now, context.settings.group_of)
        choose_for_symbol(connection, symbol, group, calendar)
        raise_changes(connection, [symbol])
        detail = {"symbol": symbol, "group": group, "calendar": calendar}
        if not _needs_pull(before):
            return Carried(symbol, note="it was on the watchlist already", detail=detail)
        # The planner pulls and forecasts a new symbol by a further run of its calendar's newest session.
        set_state(connection, symbol, SymbolState.NEW, None, market_now)
        return Carried(symbol, note=note, waits=True, detail=detail)

    return write


def check_removal(_context: ServiceContext, request: RunRequest) -> Action:
    """Return what removes a symbol from the watchlist; its history and forecasts stay."""
    symbol = check_name(str(request.body["symbol"]))

    def write(connection: Connection) -> Carried:
        remove_symbols(connection, [symbol])
        raise_changes(connection, [symbol])
        query = select(instruments.c.symbol).where(instruments.c.active).limit(1)
        is_empty = connection.execute(query).one_or_none() is None
        return Carried(symbol, note=EMPTY_WATCHLIST if is_empty else None)

    return write


def _needs_pull(before: tuple[Instrument, ...]) -> bool:
    """Return whether a symbol is new, was off the watchlist, or could not be pulled so far."""
    return not before or not before[0].active or before[0].state in (SymbolState.UNKNOWN, SymbolState.FAILING)


def _chosen(context: ServiceContext, symbol: str, body: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the group and the calendar that a request chooses.

    Raises:
        CalendarError: the calendar does not exist.
        SettingsError: a setting chooses another one.
    """
    group, calendar = body.get("group"), body.get("calendar")
    calendar = None if calendar is None else context.calendars.get(str(calendar)).name
    fixed = context.settings.calendar_of.get(symbol)
    chosen = (
        ("TPLUS_GROUPS", "group", group, context.settings.group_of.get(symbol)),
        ("TPLUS_CALENDARS", "calendar", calendar, None if fixed is None else context.calendars.get(fixed).name),
    )
    for setting, kind, wanted, own in chosen:
        if wanted is not None and own is not None and wanted != own:
            raise SettingsError(f"{setting} sets the {kind} of {symbol} to {own}; omit it or change the setting")
    return None if group is None else str(group), calendar


def _require_source(context: ServiceContext, symbol: str) -> str | None:
    """Raise unless the source has a symbol; returns a note about one without recent bars.

    Raises:
        Malformed, UnknownSymbol: the source does not have it, or cannot read it.
        RateLimited, Transient: the source does not answer now.
    """
    with context.database.reading() as connection:
        at = context.market.now(connection)
        probes = () if context.source.can_replay else pick_probes(connection)
    probe = Probe(context.source, probes, at)
    ticket = probe.begin()
    try:
        context.source.fetch(symbol, (at - _WINDOW).date(), at)
    except (UnknownSymbol, NoData) as error:
        # A blocked address gets these answers too.
        if not context.source.can_replay and not probe.reachable_since(ticket):
            raise Transient(f"not accepted while no other symbol answers: {error}") from error
        if isinstance(error, UnknownSymbol):
            raise
        return str(error)
    return None
