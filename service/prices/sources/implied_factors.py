"""Derives adjustment factors from raw and adjusted closes.

Between two actions the ratio adjusted / raw is a constant, with an error from the rounding of both figures. Each row
therefore gives an interval that contains the constant. A step begins at the first row whose interval does not meet the
intersection of all intervals since the last step. With this anchor, rounding noise cannot accumulate to an action, and
a small step is found although no two neighbours differ by more than their rounding.

A factor uses the rows up to its ex-date alone, for the ratio as for the number of decimals: later rows would know the
new ratio more exactly, but would then change forecasts that were made without them.
"""

from datetime import date

import numpy as np
from numpy.typing import NDArray

from service.prices.sources.base import Action, ActionKind

FloatArray = NDArray[np.float64]

_MAX_DECIMALS = 9
_WHOLE_ROWS = 3
"""Whole raw closes after which they count as prices as traded."""

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
        value is ratio before / ratio after, the factor of all earlier closes. The ratio before is that of all rows
        since the last step, the ratio after that of the ex-date alone. If figures are rounded so coarsely that rows
        next to a step fit both sides, the later date is used. Rows after an ex-date change nothing of its action.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        usable = np.flatnonzero((close > 0) & (adj_close > 0) & np.isfinite(close) & np.isfinite(adj_close))
    if len(usable) == 0:
        return ()
    raw, adjusted = close[usable], adj_close[usable]
    error = 0.5 * (_raw_units(raw) / raw + _units_so_far(adjusted) / adjusted) + 2 * _FLOAT32
    ratio = adjusted / raw
    days: list[date] = sessions[usable].astype("datetime64[D]").tolist()
    return tuple(
        Action(days[row], ActionKind.FACTOR, float(before / ratio[row]))
        for row, before in _steps(ratio * (1 - error), ratio * (1 + error))
    )


def _raw_units(raw: FloatArray) -> FloatArray:
    """Return the rounding unit of each raw close, as known from the closes up to it.

    Whole raw closes are prices as traded (yen, points) and exact; only the adjusted closes were rounded. A few whole
    closes do not show that: among cents, one in a hundred is whole.
    """
    units = _units_so_far(raw)
    units[(units >= 1.0) & (np.arange(len(raw)) >= _WHOLE_ROWS - 1)] = 0.0
    return units


def _units_so_far(values: FloatArray) -> FloatArray:
    """Return the unit of the last decimal of the figures up to each one, see `rounding_unit`."""
    decimals = np.full(len(values), _MAX_DECIMALS + 1)
    for count in range(_MAX_DECIMALS, -1, -1):
        decimals[_has_decimals(values, count)] = count
    most = np.maximum.accumulate(decimals)
    return np.where(most > _MAX_DECIMALS, 0.0, 10.0**-most)


def rounding_unit(values: FloatArray) -> float:
    """Return the unit of the last decimal of figures (0.01 for cents), 0.0 if they have none.

    Args:
        values: `(n,)` positive finite figures, n >= 1.
    """
    return float(_units_so_far(values)[-1])


def _has_decimals(values: FloatArray, decimals: int) -> NDArray[np.bool_]:
    """Return whether each figure has no more than so many decimals."""
    scaled = values * 10.0**decimals
    # Scaling changes a few units in the last binary place; a larger difference is a further decimal.
    return np.abs(scaled - np.rint(scaled)) <= 1e-12 * scaled + 1e-9


def _steps(low: FloatArray, high: FloatArray) -> list[tuple[int, float]]:
    """Return the rows whose interval does not meet those since the last step, each with the ratio before it.

    The ratio before is the middle of the intersection of the intervals between the two steps.
    """
    steps: list[tuple[int, float]] = []
    start, n = 0, len(low)
    while start < n:
        lower = np.maximum.accumulate(low[start:])
        upper = np.minimum.accumulate(high[start:])
        disjoint = lower > upper
        if not bool(disjoint.any()):
            break
        length = int(disjoint.argmax())
        start += length
        steps.append((start, float(0.5 * (lower[length - 1] + upper[length - 1]))))
    return steps
