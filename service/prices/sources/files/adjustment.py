"""Decides which corporate actions of a file apply, by what its closes show.

A split is undone only where the close shows it: then the file holds prices as traded. A dividend is applied only where
the close shows the drop on the ex-date: closes that are adjusted already show none. Each decision uses the rows up to
its ex-date alone, so a file that grows changes no earlier one.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.prices.sources.base import Action, ActionKind
from service.prices.sources.files.header import Adjustment
from service.prices.sources.files.reader import FileTable
from service.prices.sources.implied_factors import derive_factors

FloatArray = NDArray[np.float64]

PRICE_RETURNS: Final = "neither adjusted closes nor actions: used as price returns"

_VISIBLE: Final = {Adjustment.SPLIT: 0.0, Adjustment.UNKNOWN: 1.0, Adjustment.TOTAL: 3.0}
"""Logarithm of the likelihood ratio of the dividends so far from which their drops are visible, by the file's form."""

_CLEAR: Final = 3.0
"""The same of a single dividend, from which it decides for itself; those below follow the sum."""

_RETURNS: Final = 250
"""Number of returns before an ex-date that give their scale: about a year."""

_LEAST_RETURNS: Final = 20
_LEAST_SCALE: Final = 1e-4
_FREEDOM: Final = 4
"""Degrees of freedom of daily returns: large moves are frequent, so one of them says little about a small dividend."""

_MEDIAN_SIZE: Final = 0.7407
"""Median size of a t-distributed figure of `_FREEDOM` degrees: `scipy.stats.t(4).ppf(0.75)`."""

_VOLUME: Final = 4


@dataclass(frozen=True, slots=True)
class AdjustedRows:
    """The rows of a symbol on the basis of its last session.

    Attributes:
        bars: `(n, 5)` float64, split-adjusted.
        actions: Actions that apply to them.
        adjustment: What the closes are adjusted for; with adjusted closes or visible dividends it is `split`.
        notes: What was found, as short phrases.
    """

    bars: FloatArray
    actions: tuple[Action, ...]
    adjustment: Adjustment
    notes: tuple[str, ...]


def settle_actions(table: FileTable, stated: Adjustment, listed: tuple[Action, ...] | None) -> AdjustedRows:
    """Return bars and actions of a symbol.

    Args:
        table: Rows of its file.
        stated: What the form of the file says about its closes.
        listed: Actions of a list of actions, which have priority; None if it does not list the symbol.
    """
    if listed is not None:
        return _settle_listed(table, stated, listed)
    bars, splits, split_notes = _settle_splits(table)
    close = bars[:, 3]
    dividends = _dividends(table, bars)
    if table.adj_close is not None:
        factors = derive_factors(table.sessions, close, table.adj_close)
        # Adjusted closes that begin later say nothing about the dividends before them.
        begins = _day(table, int((np.isfinite(table.adj_close) & (table.adj_close > 0) & (close > 0)).argmax()))
        before = tuple(action for action in dividends if table.sessions[0] < np.datetime64(action.ex_date) <= begins)
        applied, _, notes = _visible(table.sessions, close, before, stated)
        return AdjustedRows(bars, (*splits, *applied, *factors), Adjustment.SPLIT, (*split_notes, *notes))
    if dividends:
        applied, adjustment, notes = _visible(table.sessions, close, dividends, stated)
        return AdjustedRows(bars, (*splits, *applied), adjustment, (*split_notes, *notes))
    has_columns = table.dividends is not None or table.splits is not None
    bare = stated is not Adjustment.TOTAL and not has_columns
    return AdjustedRows(bars, splits, stated, (*split_notes, *((PRICE_RETURNS,) if bare else ())))


def _settle_listed(table: FileTable, stated: Adjustment, listed: tuple[Action, ...]) -> AdjustedRows:
    """Use a list of actions; its dividends need a drop if the closes are `total`."""
    if stated is not Adjustment.TOTAL:
        return AdjustedRows(table.bars, listed, Adjustment.SPLIT, ())
    dividends = tuple(action for action in listed if action.kind is ActionKind.DIVIDEND)
    others = tuple(action for action in listed if action.kind is not ActionKind.DIVIDEND)
    applied, adjustment, notes = _visible(table.sessions, table.bars[:, 3], dividends, stated)
    return AdjustedRows(table.bars, (*others, *applied), adjustment, notes)


def _settle_splits(table: FileTable) -> tuple[FloatArray, tuple[Action, ...], tuple[str, ...]]:
    """Return split-adjusted bars and the splits: those that the closes show are undone."""
    if table.splits is None:
        return table.bars, (), ()
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero((table.splits > 0) & (table.splits != 1) & np.isfinite(table.splits))
    bars = table.bars.copy()
    undone = 0
    for row in rows.tolist():
        ratio = float(table.splits[row])
        before = _last_close(table.bars[:row, 3])
        move = np.log(before / table.bars[row, 3]) if before is not None and table.bars[row, 3] > 0 else 0.0
        if abs(move - np.log(ratio)) < abs(move):
            bars[:row, :_VOLUME] /= ratio
            bars[:row, _VOLUME] *= ratio
            undone += 1
    actions = tuple(Action(_day(table, row), ActionKind.SPLIT, float(table.splits[row])) for row in rows.tolist())
    return bars, actions, (f"{undone} splits undone: prices as traded",) if undone else ()


def _dividends(table: FileTable, bars: FloatArray) -> tuple[Action, ...]:
    """Return the dividends of a file on the basis of its last session."""
    if table.dividends is None:
        return ()
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero((table.dividends > 0) & np.isfinite(table.dividends))
        # As traded before a split that was undone, like the close of the same row.
        basis = np.where(table.bars[:, 3] > 0, bars[:, 3] / table.bars[:, 3], 1.0)
    paid = np.where(np.isfinite(basis), basis, 1.0) * table.dividends
    return tuple(Action(_day(table, row), ActionKind.DIVIDEND, float(paid[row])) for row in rows.tolist())


def _visible(
    sessions: NDArray[np.datetime64], close: FloatArray, dividends: tuple[Action, ...], stated: Adjustment
) -> tuple[tuple[Action, ...], Adjustment, tuple[str, ...]]:
    """Return the dividends whose drops the closes show.

    Each ex-date compares two t distributions of its return, with and without the drop, at the scale of the returns
    before it. A dividend with clear evidence decides for itself. The others are too small for that; they
    are on one basis, so the limited sum of all evidence up to and including the ex-date decides.

    Rows and dividends after an ex-date change nothing of its decision. The price is that the first small dividends of a
    file are not applied, until those so far are visible together; they stay out when later ones show the basis.
    """
    dividends = tuple(sorted(dividends, key=lambda action: action.ex_date))
    evidence = np.nan_to_num(_evidence(sessions, close, dividends))
    clear = _CLEAR + (_VISIBLE[stated] if stated is Adjustment.TOTAL else 0.0)
    so_far = np.cumsum(np.clip(evidence, -clear, clear))
    applies = np.where(np.abs(evidence) >= clear, evidence > 0, so_far > _VISIBLE[stated])
    kept = tuple(action for action, applied in zip(dividends, applies, strict=True) if applied)
    left = len(dividends) - len(kept)
    notes = (f"{left} dividends not applied: no drop on the ex-date is visible in the close",) if left else ()
    if kept:
        return kept, Adjustment.SPLIT, notes
    is_total = len(so_far) > 0 and so_far[-1] < -_VISIBLE[Adjustment.UNKNOWN]
    return (), Adjustment.TOTAL if is_total else stated, notes


def _evidence(sessions: NDArray[np.datetime64], close: FloatArray, dividends: tuple[Action, ...]) -> FloatArray:
    """Return per dividend the logarithm of the likelihood ratio of a drop.

    It is NaN where the drop cannot be measured: no close on the ex-date, or too few returns before it.
    """
    with np.errstate(invalid="ignore"):
        usable = np.flatnonzero((close > 0) & np.isfinite(close))
    days, prices = sessions[usable], close[usable]
    returns = np.diff(np.log(prices))
    sizes = pd.Series(np.abs(returns)).rolling(_RETURNS, min_periods=_LEAST_RETURNS).median().to_numpy()
    scale = np.maximum(sizes / _MEDIAN_SIZE, _LEAST_SCALE)
    evidence = np.full(len(dividends), np.nan)
    for k, action in enumerate(dividends):
        row = int(days.searchsorted(np.datetime64(action.ex_date)))
        if not 1 < row < len(days) or days[row] != np.datetime64(action.ex_date) or action.value >= prices[row - 1]:
            continue
        drop = np.log1p(-action.value / prices[row - 1])
        without, with_drop = np.array([returns[row - 1], returns[row - 1] - drop]) / scale[row - 2]
        likelihoods = np.log1p(without**2 / _FREEDOM) - np.log1p(with_drop**2 / _FREEDOM)
        evidence[k] = 0.5 * (_FREEDOM + 1) * likelihoods
    return evidence


def _last_close(closes: FloatArray) -> float | None:
    known = closes[np.isfinite(closes) & (closes > 0)]
    return float(known[-1]) if len(known) else None


def _day(table: FileTable, row: int) -> date:
    day: date = table.sessions[row].astype("datetime64[D]").astype(object)
    return day
