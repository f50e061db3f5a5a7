"""Panels read directly from a price source, for a backtest: no database, the same checks and adjustment as a pull."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import numpy as np

from models.config import MULTI_STEP_HORIZON, ReferenceRole
from models.preprocessing.price_history import Panel, PriceHistory
from service.errors import NotFound, SourceError
from service.market.exchange_calendar import get_calendar
from service.market.instruments import check_name, group_of_type
from service.market.session_calendar import MarketCalendar
from service.prices.adjustment.adjust import growth_factors
from service.prices.checks.action_checks import find_suspect_actions
from service.prices.checks.outliers import find_suspects, series_kind
from service.prices.checks.row_checks import VOLUME, DateArray, Rows, check_actions, check_rows
from service.prices.pull.calendar_check import CalendarChecker, DatedPrices
from service.prices.quarantine.breaks import find_breaks
from service.prices.sources.base import PriceSource
from service.runtime.context import parse_reference
from service.settings import Settings

_AHEAD = timedelta(days=30)
"""Time after the newest bar that the calendar must cover, for the sessions to forecast."""


@dataclass(frozen=True, slots=True)
class CheckedPrices:
    """The checked prices of one symbol.

    Attributes:
        symbol: Yahoo-style name.
        group: Training group.
        calendar: Its calendar, long enough for the sessions after the last bar.
        settle: Time after a close at which a bar is final.
        rows: Bars on sessions of the calendar, split-adjusted, oldest first.
        factors: `(n,)` factor of each price that adjusts it, 1.0 at the first bar: nothing later changes a price.
        held: `(k,)` sessions of suspect bars, which are not among the rows; see `outliers`.
    """

    symbol: str
    group: str
    calendar: MarketCalendar
    settle: timedelta
    rows: Rows
    factors: np.ndarray[tuple[int], np.dtype[np.float64]]
    held: DateArray


@dataclass(frozen=True, slots=True)
class GroupPanel:
    """The symbols of one group, ready for a backtest.

    Attributes:
        group: Training group.
        panel: Price histories in the order of the request, and the reference series that were available.
        following: Per symbol the sessions after its last bar, which its newest forecasts need.
    """

    group: str
    panel: Panel
    following: Mapping[str, DateArray]


def fetch_all(
    source: PriceSource, symbols: Sequence[str], settings: Settings, at: datetime
) -> tuple[tuple[CheckedPrices, ...], dict[str, str]]:
    """Fetch and check several symbols.

    Args:
        source: Source of the prices.
        symbols: Yahoo-style names.
        settings: Settle delays, and configured groups and calendars.
        at: Aware UTC market time: only bars that are final by then count.

    Returns:
        The symbols with prices, in order, and the reason for each other symbol.

    Raises:
        SettingsError: A name is not a valid symbol name.
    """
    source.begin_run()
    checker = CalendarChecker(dict(settings.calendar_of), get_calendar, at.date())
    fetched: list[CheckedPrices] = []
    missing: dict[str, str] = {}
    for symbol in dict.fromkeys(symbols):
        check_name(symbol)
        try:
            dated = checker.fetch(partial(source.fetch, symbol), None, None, at)
            if dated.fault is not None:
                missing[symbol] = dated.fault
            else:
                fetched.append(_checked(dated, settings, at))
        except (SourceError, NotFound) as error:
            missing[symbol] = str(error)
    return tuple(fetched), missing


def group_panels(fetched: Sequence[CheckedPrices], references: Sequence[CheckedPrices]) -> tuple[GroupPanel, ...]:
    """Return the symbols on their session grids, one panel per group.

    A session on which no symbol of a calendar has a bar, not even a held one, while another calendar has one of that
    date is left out: the exchange was closed. Other missing sessions between a symbol's first and last bar are holes.

    Args:
        fetched: Symbols to forecast.
        references: Reference series, the same in every panel.

    Returns:
        Panels in the order of their first symbols.
    """
    closed = _closed_sessions((*fetched, *references))
    newest = _newest_session((*references, *fetched))
    reference_histories = {prices.symbol: _history(prices, closed, until=newest) for prices in references}
    panels = []
    for group in dict.fromkeys(prices.group for prices in fetched):
        members = [prices for prices in fetched if prices.group == group]
        panel = Panel(tuple(_history(prices, closed, until=None) for prices in members), reference_histories)
        panels.append(GroupPanel(group, panel, {prices.symbol: _following(prices) for prices in members}))
    return tuple(panels)


def _checked(dated: DatedPrices, settings: Settings, at: datetime) -> CheckedPrices:
    history = dated.history
    if len(history.bars) == 0:
        raise NotFound(f"{history.symbol}: the source has no bars; leave it out")
    first, last = history.bars.index[0].date(), history.bars.index[-1].date()
    calendar = get_calendar(dated.use.name, first, last + _AHEAD)
    settle = settings.settle(calendar.name)
    instant = np.datetime64(at.replace(tzinfo=None), "s")
    checked = check_rows(history, calendar.table(first, last), settle, instant)
    if not len(checked.rows):
        raise NotFound(f"{history.symbol}: none of its bars is final and has a close; leave it out")
    actions, _ = check_actions(history.actions, checked.rows)
    doubtful = {suspect.action for suspect in find_suspect_actions(actions, (), checked.rows, {})}
    actions = tuple(action for action in actions if action not in doubtful)
    kind = series_kind(history.meta.instrument_type, history.symbol in _volatility(settings))
    # A jump counts by what was known in its session: later bars must not decide which sessions are forecast.
    suspects = find_suspects(checked.rows, actions, np.zeros(len(checked.rows), bool), kind, hindsight=False)
    held = checked.rows.sessions[[s.row for s in suspects if not (s.clears and s.traded)]]
    rows = checked.rows.take(~np.isin(checked.rows.sessions, held))
    factors = growth_factors(rows.sessions, rows.close, actions)
    group = settings.group_of.get(history.symbol, group_of_type(history.meta.instrument_type))
    return CheckedPrices(history.symbol, group, calendar, settle, rows, factors, held)


def _volatility(settings: Settings) -> frozenset[str]:
    """Return the volatility indices among the references; their jumps are usual."""
    references = map(parse_reference, settings.reference_symbols)
    return frozenset(each.symbol for each in references if each.role == ReferenceRole.VOLATILITY)


def _closed_sessions(fetched: Sequence[CheckedPrices]) -> dict[str, DateArray]:
    """Return, by calendar, the dates on which only other calendars have bars."""
    traded: dict[str, DateArray] = {}
    for prices in fetched:
        name = prices.calendar.name
        own = np.union1d(prices.rows.sessions, prices.held)
        traded[name] = np.union1d(traded.get(name, own), own)
    closed = {}
    for name in traded:
        elsewhere = [days for other, days in traded.items() if other != name]
        closed[name] = np.setdiff1d(np.concatenate([traded[name][:0], *elsewhere]), traded[name])
    return closed


def _newest_session(fetched: Sequence[CheckedPrices]) -> np.datetime64 | None:
    """Return the newest session of all symbols: a reference that ends earlier has holes from then on, no old value."""
    ends = [prices.rows.sessions[-1] for prices in fetched]
    return max(ends) if ends else None


def _history(prices: CheckedPrices, closed: Mapping[str, DateArray], until: np.datetime64 | None) -> PriceHistory:
    first, last = prices.rows.sessions[0], prices.rows.sessions[-1]
    end = last if until is None else max(last, until)
    table = prices.calendar.table(first.astype(object), end.astype(object))
    is_open = ~np.isin(table.sessions, closed[prices.calendar.name])
    days, closes = table.sessions[is_open], table.close_at[is_open]
    values = np.full((len(days), prices.rows.values.shape[1]), np.nan)
    positions = np.searchsorted(days, prices.rows.sessions)
    values[positions] = prices.rows.values
    values[positions, :VOLUME] *= prices.factors[:, None]
    settle = np.timedelta64(int(prices.settle.total_seconds()), "s")
    final_at = (closes.astype("datetime64[s]") + settle).astype("datetime64[s]")
    columns = np.ascontiguousarray(values.T)
    history = PriceHistory(prices.symbol, prices.group, prices.calendar.name, days, final_at, *columns)
    return replace(history, breaks=find_breaks(days, history.close, prices.held))


def _following(prices: CheckedPrices) -> DateArray:
    last = prices.rows.sessions[-1].astype(object)
    after = [prices.calendar.next(last, step) for step in range(1, MULTI_STEP_HORIZON + 1)]
    return np.array(after, dtype="datetime64[D]")
