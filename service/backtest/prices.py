"""Panels straight from a price source, for a backtest: no database, the same checks and adjustment as a pull."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from models.config import MULTI_STEP_HORIZON
from models.preprocessing.frame import Panel, PriceHistory
from service.errors import NotFound, SourceError
from service.market.exchange_calendar import get_calendar
from service.market.exchange_codes import calendar_for
from service.market.instruments import check_name, group_of_type
from service.market.session_calendar import MarketCalendar
from service.prices.adjustment.adjust import adjustment_factors
from service.prices.checks.row_checks import VOLUME, DateArray, Rows, check_actions, check_rows
from service.prices.sources.base import FetchedPrices, PriceSource
from service.settings import Settings

_AHEAD = timedelta(days=30)
"""How far past the newest bar the calendar must know the sessions that are forecast."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """One symbol as its source tells it, checked.

    Attributes:
        symbol: Yahoo-style name.
        group: Training group.
        calendar: Its calendar, wide enough for the sessions after the last bar.
        settle: How long after a close a bar is final.
        rows: Bars on sessions of the calendar, split-adjusted, oldest first.
        factors: `(n,)` what each price is multiplied by to be adjusted.
    """

    symbol: str
    group: str
    calendar: MarketCalendar
    settle: timedelta
    rows: Rows
    factors: np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class GroupPanel:
    """The symbols of one group, ready to be walked through.

    Attributes:
        group: Training group.
        panel: Frames in the order asked for, and the reference series that could be had.
        following: Per symbol the sessions after its last bar that its newest forecasts are of.
    """

    group: str
    panel: Panel
    following: Mapping[str, DateArray]


def fetch_all(
    source: PriceSource, symbols: Sequence[str], settings: Settings, at: datetime
) -> tuple[tuple[Fetched, ...], dict[str, str]]:
    """Fetch and check several symbols.

    Args:
        source: Where prices come from.
        symbols: Yahoo-style names.
        settings: Settle delays, and groups and calendars set by hand.
        at: Aware UTC market time: only bars that are final by then count.

    Returns:
        What could be had, in order, and why not by symbol.

    Raises:
        SettingsError: A name cannot be a symbol.
    """
    source.begin_run()
    fetched: list[Fetched] = []
    refused: dict[str, str] = {}
    for symbol in dict.fromkeys(symbols):
        check_name(symbol)
        try:
            fetched.append(_checked(source.fetch(symbol, None, at), settings, at))
        except (SourceError, NotFound) as error:
            refused[symbol] = str(error)
    return tuple(fetched), refused


def group_panels(fetched: Sequence[Fetched], references: Sequence[Fetched]) -> tuple[GroupPanel, ...]:
    """Lay symbols on their session grids, one panel a group.

    A session on which no symbol of a calendar has a bar while another calendar has one of that date is left out:
    the exchange was closed. Other missing sessions between a symbol's first and last bar are holes.

    Args:
        fetched: Symbols to forecast.
        references: Reference series, the same in every panel.

    Returns:
        Panels in the order of their first symbols.
    """
    closed = _closed_sessions((*fetched, *references))
    known = {one.symbol: _frame(one, closed, until=_newest(references, fetched)) for one in references}
    groups = list(dict.fromkeys(one.group for one in fetched))
    panels = []
    for group in groups:
        members = [one for one in fetched if one.group == group]
        panel = Panel(tuple(_frame(one, closed, until=None) for one in members), known)
        panels.append(GroupPanel(group, panel, {one.symbol: _following(one) for one in members}))
    return tuple(panels)


def _checked(history: FetchedPrices, settings: Settings, at: datetime) -> Fetched:
    name = settings.calendar_of.get(history.symbol) or history.meta.calendar
    name = name or calendar_for(history.symbol, history.meta.exchange)
    first, last = history.bars.index[0].date(), history.bars.index[-1].date()
    calendar = get_calendar(name, first, last + _AHEAD)
    settle = settings.settle(calendar.name)
    instant = np.datetime64(at.replace(tzinfo=None), "s")
    checked = check_rows(history, calendar.table(first, last), settle, instant)
    if not len(checked.rows):
        raise NotFound(f"{history.symbol}: not one of its bars is final and has a close; leave it out")
    actions, _ = check_actions(history.actions, checked.rows)
    factors = adjustment_factors(checked.rows.sessions, checked.rows.close, actions)
    group = settings.group_of.get(history.symbol, group_of_type(history.meta.instrument_type))
    return Fetched(history.symbol, group, calendar, settle, checked.rows, factors)


def _closed_sessions(fetched: Sequence[Fetched]) -> dict[str, DateArray]:
    """By calendar the sessions without any bar that other calendars have bars of."""
    traded: dict[str, DateArray] = {}
    for one in fetched:
        before = traded.get(one.calendar.name, one.rows.sessions[:0])
        traded[one.calendar.name] = np.union1d(before, one.rows.sessions)
    closed = {}
    for name in traded:
        others = [days for other, days in traded.items() if other != name]
        elsewhere = np.concatenate([traded[name][:0], *others])
        closed[name] = np.setdiff1d(elsewhere, traded[name])
    return closed


def _newest(references: Sequence[Fetched], fetched: Sequence[Fetched]) -> np.datetime64 | None:
    """Newest session of any symbol: a reference whose record ends sooner has holes from then on, not an old value."""
    ends = [one.rows.sessions[-1] for one in (*references, *fetched)]
    return max(ends) if ends else None


def _frame(one: Fetched, closed: Mapping[str, DateArray], until: np.datetime64 | None) -> PriceHistory:
    first, last = one.rows.sessions[0], one.rows.sessions[-1]
    end = last if until is None else max(last, until)
    table = one.calendar.table(first.astype(object), end.astype(object))
    is_open = ~np.isin(table.sessions, closed[one.calendar.name])
    days, closes = table.sessions[is_open], table.close_at[is_open]
    values = np.full((len(days), one.rows.values.shape[1]), np.nan)
    places = np.searchsorted(days, one.rows.sessions)
    values[places] = one.rows.values
    values[places, :VOLUME] *= one.factors[:, None]
    settle = np.timedelta64(int(one.settle.total_seconds()), "s")
    final_at = (closes.astype("datetime64[s]") + settle).astype("datetime64[s]")
    columns = np.ascontiguousarray(values.T)
    return PriceHistory(one.symbol, one.group, one.calendar.name, days, final_at, *columns)


def _following(one: Fetched) -> DateArray:
    last = one.rows.sessions[-1].astype(object)
    after = [one.calendar.next(last, step) for step in range(1, MULTI_STEP_HORIZON + 1)]
    return np.array(after, dtype="datetime64[D]")
