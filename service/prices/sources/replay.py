"""Replays a recorded history as of an instant, for every source that can replay.

A record is split-adjusted to its last session. At an earlier instant the splits after it are undone: prices are
multiplied by, volumes divided by, and dividends multiplied by the product of the later split ratios. Every visible row
is older than every such split, so one factor applies to all rows.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from math import prod

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.market.exchange_calendar import MarketCalendar, get_calendar
from service.prices.sources.base import Action, ActionKind, FetchedPrices, InstrumentMeta, NoData

COLUMNS = ("open", "high", "low", "close", "volume")
"""Columns of a bar, in the order of every array and data frame of this package."""

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class RecordedSeries:
    """The whole record of one symbol, on the basis of its last session.

    Attributes:
        symbol: Yahoo-style name.
        calendar: Calendar name, for example `XNYS`.
        sessions: `(n,)` datetime64[D], strictly ascending.
        bars: `(n, 5)` float64 in the order of `COLUMNS`; NaN where the record has no figure.
        actions: All actions with ex-dates up to the last session, ascending.
        meta: Metadata of the symbol.
        index: `sessions` as a pandas index named `session`.
        states_actions: See `FetchedPrices`.
    """

    symbol: str
    calendar: str
    sessions: NDArray[np.datetime64]
    bars: NDArray[np.float64]
    actions: tuple[Action, ...]
    meta: InstrumentMeta
    index: pd.DatetimeIndex
    states_actions: bool = True

    @property
    def first(self) -> date:
        """First session of the record."""
        return _date(self.sessions[0])

    @property
    def last(self) -> date:
        """Last session of the record."""
        return _date(self.sessions[-1])


def recorded_series(
    symbol: str,
    sessions: NDArray[np.datetime64],
    bars: NDArray[np.float64],
    actions: tuple[Action, ...],
    meta: InstrumentMeta,
    states_actions: bool = True,
) -> RecordedSeries:
    """Create a record from arrays; it makes them read-only and leaves out actions outside the span.

    Args:
        symbol: Yahoo-style name.
        sessions: `(n,)` datetime64[D], strictly ascending, n >= 1.
        bars: `(n, 5)` float64 in the order of `COLUMNS`, split-adjusted to the last session.
        actions: Actions in any order; an action after the last session is not part of the record's basis.
        meta: Metadata; its `calendar` must be set.
        states_actions: Whether the record has actions at all, see `FetchedPrices`.
    """
    assert meta.calendar is not None
    days = sessions.astype("datetime64[D]")
    first, last = _date(days[0]), _date(days[-1])
    inside = sorted((a for a in actions if first <= a.ex_date <= last), key=lambda a: (a.ex_date, a.kind))
    days.flags.writeable = False
    bars.flags.writeable = False
    index = pd.DatetimeIndex(days.astype("datetime64[s]"), name="session")
    return RecordedSeries(symbol, meta.calendar, days, bars, tuple(inside), meta, index, states_actions)


def replay(series: RecordedSeries, start: date | None, at: datetime) -> FetchedPrices:
    """Return the record of one symbol as it was at an instant.

    Args:
        series: The whole record.
        start: First session (inclusive); None = all.
        at: Aware UTC market time. Rows and actions are visible from the open of the session of their date on; on a
            date without a session from its begin in UTC on, because the calendar may be wrong.

    Returns:
        Bars on the basis of that instant, and the actions with ex-dates in the window, ascending.

    Raises:
        NoData: No session of the window had opened yet, or the record holds no session in it.
    """
    first, last = series.first, series.last
    today = at.date()
    opened = _newest_visible(get_calendar(series.calendar, min(first, today), max(last, today)), at)
    rows = slice(
        0 if start is None else int(series.sessions.searchsorted(np.datetime64(start))),
        0 if opened is None else int(series.sessions.searchsorted(np.datetime64(opened), side="right")),
    )
    if opened is None or rows.start >= rows.stop:
        since = "" if start is None else f" since {start}"
        raise NoData(
            f"{series.symbol}: no session{since} is recorded that had opened by {at.isoformat()}; "
            f"the record reaches from {first} to {last}, use an instant in it"
        )
    visible = bisect_right(series.actions, opened, key=_ex_date)
    later_ratio = prod(action.value for action in series.actions[visible:] if action.kind is ActionKind.SPLIT)
    actions = series.actions[0 if start is None else bisect_left(series.actions, start, key=_ex_date) : visible]
    basis = np.array([later_ratio, later_ratio, later_ratio, later_ratio, 1.0 / later_ratio])
    bars = pd.DataFrame(series.bars[rows] * basis, index=series.index[rows], columns=list(COLUMNS), copy=False)
    rebased = tuple(_rebased(action, later_ratio) for action in actions)
    return FetchedPrices(series.symbol, bars, rebased, series.meta, series.states_actions)


def _newest_visible(calendar: MarketCalendar, at: datetime) -> date | None:
    """Return the newest date whose rows are visible at an instant; None if the calendar's bounds hold none."""
    opened, today = calendar.newest_opened(at), at.date()
    closed_day = today if not calendar.is_session(today) else today - timedelta(days=1)
    if calendar.first <= closed_day and not calendar.is_session(closed_day):
        return closed_day if opened is None else max(opened, closed_day)
    return opened


def _rebased(action: Action, later_ratio: float) -> Action:
    if later_ratio == 1.0 or action.kind is not ActionKind.DIVIDEND:
        return action
    return replace(action, value=action.value * later_ratio)


def _ex_date(action: Action) -> date:
    return action.ex_date


def _date(day: np.datetime64) -> date:
    return date.fromordinal(int(day.astype("datetime64[D]").astype(np.int64)) + _EPOCH_ORDINAL)
