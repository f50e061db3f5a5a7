"""The joint band over T, T+1 and T+2: the marginal intervals, widened around the median by one factor.

The score of a path is the maximum, over its steps, of the distance from the median in units of the half width on that
side. The factor of a level tracks the quantile of the score at that level, with the update rule of the quantiles.
"""

import numpy as np

from models.calibration.quantile_tracking import FEW
from models.calibration.state import LEVELS, JointState
from models.config import INTERVAL_BOUNDS, MEDIAN
from models.preprocessing.price_history import FloatArray

RATE = 0.05
"""Learning rate of the logarithm of a factor: the update is this, times the nominal level minus the share inside."""
MAX_FACTOR = 4.0

_MIN_WIDTH = 1e-12


def joint_ratio(quantiles: FloatArray, actual: FloatArray) -> FloatArray:
    """Return the score of each path: its largest distance from the median, in half widths of the interval.

    Args:
        quantiles: `(n, horizon, 7)` calibrated log returns, ascending.
        actual: `(n, horizon)` log returns; NaN where unknown.

    Returns:
        `(n, 3)` in the order of `LEVELS`: the smallest factor whose band contains the whole path; NaN where a step
        is unknown.
    """
    median = quantiles[..., MEDIAN]
    distance = actual - median
    ratios = np.empty((len(actual), len(LEVELS)))
    for column, level in enumerate(LEVELS):
        low, high = INTERVAL_BOUNDS[level]
        half_width = np.where(distance >= 0, quantiles[..., high] - median, median - quantiles[..., low])
        # The maximum over an axis propagates NaN, so one unknown step makes the path unknown.
        ratios[:, column] = (np.abs(distance) / np.maximum(half_width, _MIN_WIDTH)).max(axis=1)
    return ratios


def learn_joint(state: JointState, ratios: FloatArray, issued: FloatArray | None = None) -> JointState:
    """Update the state with the paths that ended on one day.

    Args:
        state: State before the update.
        ratios: `(n, 3)` of `joint_ratio`; rows with NaN are left out.
        issued: `(n, 3)` the factors that each path was issued with, for the measured coverage; None for those of the
            state.

    Returns:
        The state after the update; unchanged where no path is known.
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
        factors=tuple(np.exp(np.clip(moved, 0.0, np.log(MAX_FACTOR))).tolist()),
        held=tuple((np.asarray(state.held) + held).tolist()),
        days=state.days + 1,
    )
