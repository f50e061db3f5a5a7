"""Derives adjustment factors from raw and adjusted closes.

Between two actions the ratio adjusted / raw is a constant, with an error from the rounding of both figures. Each row
therefore gives an interval that contains the constant. A step begins at the first row whose interval does not meet the
intersection of all intervals since the last step. With this anchor, rounding noise cannot accumulate to an action, and
a small step is found although no two neighbours differ by more than their rounding.
"""

from datetime import date

import numpy as np
from numpy.typing import NDArray

from service.prices.sources.base import Action, ActionKind

FloatArray = NDArray[np.float64]

_MAX_DECIMALS = 9
_FLOAT32 = 1.5e-7
"""Relative error of a figure that passed through 32-bit floats, as those of many vendors do; the least assumed."""


def derive_factors(sessions: NDArray[np.datetime64], close: FloatArray, adj_close: FloatArray) -> tuple[Action, ...]:
    """Return the factor actions that turn a raw close into an adjusted one.

    Args:
        sessions: `(n,)` datetime64[D], ascending.
        close: `(n,)` split-adjusted close; rows that are NaN or not positive are skipped.
        adj_close: `(n,)` close adjusted for all actions, on any basis; rows are skipped in the same way.

    Returns:
        One `factor` per step of adj_close / close, ascending. `ex_date` is the first row after the step, the
        value is ratio before / ratio after, the factor of all earlier closes. If figures are rounded so coarsely that
        rows next to a step fit both sides, the later date is used.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        usable = np.flatnonzero((close > 0) & (adj_close > 0) & np.isfinite(close) & np.isfinite(adj_close))
    if len(usable) == 0:
        return ()
    raw, adjusted = close[usable], adj_close[usable]
    # Whole raw closes are prices as traded (yen, points) and exact; only the adjusted closes were rounded.
    raw_unit = rounding_unit(raw) if rounding_unit(raw) < 1.0 else 0.0
    error = 0.5 * (raw_unit / raw + rounding_unit(adjusted) / adjusted) + 2 * _FLOAT32
    ratio = adjusted / raw
    starts, levels = _segments(ratio * (1 - error), ratio * (1 + error))
    days: list[date] = sessions[usable[starts]].astype("datetime64[D]").tolist()
    return tuple(Action(days[k], ActionKind.FACTOR, levels[k - 1] / levels[k]) for k in range(1, len(starts)))


def rounding_unit(values: FloatArray) -> float:
    """Return the unit of the last decimal of figures (0.01 for cents), 0.0 if they have none.

    Args:
        values: `(n,)` positive finite figures, n >= 1.
    """
    for decimals in range(_MAX_DECIMALS + 1):
        scaled = values * 10.0**decimals
        # Scaling changes a few units in the last binary place; a larger difference is a further decimal.
        if bool((np.abs(scaled - np.rint(scaled)) <= 1e-12 * scaled + 1e-9).all()):
            return float(10.0**-decimals)
    return 0.0


def _segments(low: FloatArray, high: FloatArray) -> tuple[list[int], list[float]]:
    """Return the first row of each segment whose intervals intersect, and the middle of the intersection."""
    starts: list[int] = []
    levels: list[float] = []
    start, n = 0, len(low)
    while start < n:
        lower = np.maximum.accumulate(low[start:])
        upper = np.minimum.accumulate(high[start:])
        disjoint = lower > upper
        length = int(disjoint.argmax()) if bool(disjoint.any()) else n - start
        starts.append(start)
        levels.append(float(0.5 * (lower[length - 1] + upper[length - 1])))
        start += length
    return starts, levels
