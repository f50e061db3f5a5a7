"""A band that holds at T, T+1 and T+2 at once: the marginal intervals, widened around the median by one factor.

The score of a path is the largest, over its steps, of the distance from the median in units of that side's half
width; the factor of a level tracks the score's quantile at that level, as the quantiles themselves are tracked.
"""

import numpy as np

from models.calibration.quantile_tracking import FEW
from models.calibration.state import LEVELS, JointState
from models.preprocessing.frame import FloatArray

RATE = 0.05
"""How far a day of all misses moves the logarithm of a factor."""
LARGEST = 4.0

_BOUNDS = ((2, 4), (1, 5), (0, 6))
_MEDIAN = 3
_LEAST_WIDTH = 1e-12


def joint_ratio(quantiles: FloatArray, actual: FloatArray) -> FloatArray:
    """How far each path went, per level, in half widths of that level's interval at its worst step.

    Args:
        quantiles: `(n, horizon, 7)` calibrated log returns, ascending.
        actual: `(n, horizon)` log returns; NaN where unknown.

    Returns:
        `(n, 3)` in the order of `LEVELS`: the smallest factor whose band holds the whole path; NaN where a step
        is unknown.
    """
    median = quantiles[..., _MEDIAN]
    away = actual - median
    ratios = np.empty((len(actual), len(LEVELS)))
    for place, (low, high) in enumerate(_BOUNDS):
        side = np.where(away >= 0, quantiles[..., high] - median, median - quantiles[..., low])
        # max over an axis lets NaN win, so one unknown step leaves the path unknown.
        ratios[:, place] = (np.abs(away) / np.maximum(side, _LEAST_WIDTH)).max(axis=1)
    return ratios


def learn_joint(state: JointState, ratios: FloatArray, issued: FloatArray | None = None) -> JointState:
    """Learn from the paths that ended on one day.

    Args:
        state: What was learnt before.
        ratios: `(n, 3)` of `joint_ratio`; rows with NaN are left out.
        issued: `(n, 3)` the factors each path was issued with, for the record; None = the state's.

    Returns:
        The state after it; the same where no path is known.
    """
    known = ~np.isnan(ratios).any(axis=1)
    n = int(known.sum())
    if not n:
        return state
    factors = np.asarray(state.factors)
    inside = (ratios[known] <= factors).mean(axis=0)
    moved = np.log(factors) + RATE * n / (n + FEW) * (np.asarray(LEVELS) - inside)
    held = inside if issued is None else (ratios[known] <= issued[known]).mean(axis=0)
    return JointState(
        factors=tuple(np.exp(np.clip(moved, 0.0, np.log(LARGEST))).tolist()),
        held=tuple((np.asarray(state.held) + held).tolist()),
        days=state.days + 1,
    )
