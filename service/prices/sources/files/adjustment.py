"""Decides which corporate actions of a file apply, by what its closes show.

A split is undone only where the close shows it: then the file holds prices as traded. A dividend is applied only where
the close shows the drop on the ex-date: closes that are adjusted already show none.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.prices.sources.base import Action, ActionKind
from service.prices.sources.files.header import Adjustment
from service.prices.sources.files.reader import FileTable
from service.prices.sources.implied_factors import derive_factors

FloatArray = NDArray[np.float64]

PRICE_RETURNS: Final = "neither adjusted closes nor actions: used as price returns"

_VISIBLE: Final = {Adjustment.SPLIT: 0.0, Adjustment.UNKNOWN: 1.0, Adjustment.TOTAL: 3.0}
"""Logarithm of the likelihood ratio of all dividends from which their drops are visible, by the form of the file."""

_CLEAR: Final = 3.0
"""The same of a single dividend, from which it decides for itself; those below follow the sum."""

_LEAST_VOLATILITY: Final = 1e-4
_NORMAL_MAD: Final = 1.4826
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
    if table.adj_close is not None:
        factors = derive_factors(table.sessions, close, table.adj_close)
        return AdjustedRows(bars, (*splits, *factors), Adjustment.SPLIT, split_notes)
    dividends = _dividends(table, bars)
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

    Each ex-date compares two normal distributions of its return, with and without the drop, at the robust volatility of
    the closes. A dividend with clear evidence decides for itself. The others are too small for that; they are on one
    basis, so their sum with the clear ones, limited, decides.
    """
    evidence = np.nan_to_num(_evidence(sessions, close, dividends))
    clear = _CLEAR + (_VISIBLE[stated] if stated is Adjustment.TOTAL else 0.0)
    total = float(np.clip(evidence, -clear, clear).sum())
    applies = np.where(np.abs(evidence) >= clear, evidence > 0, total > _VISIBLE[stated])
    kept = tuple(action for action, applied in zip(dividends, applies, strict=True) if applied)
    left = len(dividends) - len(kept)
    notes = (f"{left} dividends not applied: no drop on the ex-date is visible in the close",) if left else ()
    if kept:
        return kept, Adjustment.SPLIT, notes
    return (), Adjustment.TOTAL if total < -_VISIBLE[Adjustment.UNKNOWN] else stated, notes


def _evidence(sessions: NDArray[np.datetime64], close: FloatArray, dividends: tuple[Action, ...]) -> FloatArray:
    """Return per dividend the logarithm of the likelihood ratio of a drop.

    It is NaN where the drop cannot be measured.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        usable = np.flatnonzero((close > 0) & np.isfinite(close))
    days, prices = sessions[usable], close[usable]
    returns = np.diff(np.log(prices))
    if len(returns) == 0:
        return np.full(len(dividends), np.nan)
    spread = np.median(np.abs(returns - np.median(returns))) * _NORMAL_MAD
    variance = max(float(spread), _LEAST_VOLATILITY) ** 2
    evidence = np.full(len(dividends), np.nan)
    for k, action in enumerate(dividends):
        row = int(days.searchsorted(np.datetime64(action.ex_date)))
        if not 0 < row < len(days) or action.value >= prices[row - 1]:
            continue
        drop = np.log1p(-action.value / prices[row - 1])
        evidence[k] = (returns[row - 1] ** 2 - (returns[row - 1] - drop) ** 2) / (2 * variance)
    return evidence


def _last_close(closes: FloatArray) -> float | None:
    known = closes[np.isfinite(closes) & (closes > 0)]
    return float(known[-1]) if len(known) else None


def _day(table: FileTable, row: int) -> date:
    day: date = table.sessions[row].astype("datetime64[D]").astype(object)
    return day
