"""Calibration of one step: it moves the quantiles, and learns from the outcomes of a day.

Quantile tracking on residuals scaled by volatility, after adaptive conformal inference (Gibbs & Candes 2021) and
its conditional form (Gibbs, Cherian & Candes 2023): after each day, an interval widens where its coverage was below
its level, and narrows where it was above. Width and position are tracked separately, since the symbols of a day move
together: a market move leaves one side of all intervals empty and has little information on the width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.calibration.state import PAIR_LEVELS, StepState
from models.config import MEDIAN
from models.preprocessing.price_history import FloatArray

WIDTH_RATES = np.array([0.08, 0.06, 0.04])
"""Per pair, outermost first, twice the largest move of the width in a day, in units of sigma * sqrt(step)."""
SLOPE_RATES = 6 * WIDTH_RATES
CENTRE_RATES = np.array([0.016, 0.005, 0.002])
MEDIAN_RATE = 0.002
REFERENCE_RATE = 0.02
"""Weight of a day in the mean log volatility from which slopes are measured."""

VOLATILITY_REACH = 1.5
"""Bound of the distance of log volatility from the reference; larger distances count as this."""
FEW = 2
"""A day of n symbols moves the state by n / (n + FEW) of the rates: few symbols have less information than many."""

_NOMINAL = np.asarray(PAIR_LEVELS)
_LOWER, _UPPER = slice(0, MEDIAN), slice(None, MEDIAN, -1)
"""The lower and the upper quantiles of the pairs, outermost first."""
_WIDTH_BOUND, _SLOPE_BOUND, _CENTRE_BOUND, _MEDIAN_BOUND = 2.0, 1.0, 1.0, 0.5


@dataclass(frozen=True, slots=True)
class StepOutcomes:
    """Outcomes of one step that became final together, those of one day.

    Attributes:
        raw: `(n, 7)` uncalibrated quantiles, log returns, ascending.
        sigma: `(n,)` daily volatility known at as_of.
        actual: `(n,)` log returns; NaN where unknown.
    """

    raw: FloatArray
    sigma: FloatArray
    actual: FloatArray


def calibrate_step(state: StepState, raw: FloatArray, sigma: FloatArray, step: int) -> FloatArray:
    """Return the calibrated quantiles of one step.

    Args:
        state: State known at the instant of the forecast.
        raw: `(n, 7)` uncalibrated quantiles, log returns, ascending.
        sigma: `(n,)` daily volatility known at as_of.
        step: 1, 2, 3.

    Returns:
        `(n, 7)` ascending: quantiles that would cross are sorted. Equal to `raw` for the initial state.
    """
    scale = sigma[:, None] * np.sqrt(step)
    shift = np.empty_like(raw)
    outward = np.asarray(state.width) + np.asarray(state.slope) * _relative_volatility(state, sigma)[:, None]
    shift[:, _LOWER] = np.asarray(state.centre) - outward
    shift[:, MEDIAN] = state.median
    shift[:, _UPPER] = np.asarray(state.centre) + outward
    moved: FloatArray = np.sort(raw + shift * scale, axis=1)
    return moved


def calibrate_batch(states: Sequence[StepState], raw: FloatArray, sigma: FloatArray) -> FloatArray:
    """Return the calibrated quantiles of all steps.

    Args:
        states: One per step, T first.
        raw: `(n, horizon, 7)` log returns.
        sigma: `(n,)` daily volatility known at as_of.

    Returns:
        `(n, horizon, 7)`, ascending along the last axis.
    """
    steps = [calibrate_step(state, raw[:, index], sigma, index + 1) for index, state in enumerate(states)]
    stacked: FloatArray = np.stack(steps, axis=1)
    return stacked


def learn_step(state: StepState, outcomes: StepOutcomes, step: int) -> StepState:
    """Update the state with the outcomes of one day, whose symbols are averaged to one observation.

    The update is bounded: no part moves by more than its rate or beyond its bounds, whatever the outcomes were.

    Args:
        state: State before the update.
        outcomes: Outcomes of the day.
        step: 1, 2, 3.

    Returns:
        The state after the update; unchanged where no outcome is known.
    """
    known = ~np.isnan(outcomes.actual)
    n = int(known.sum())
    if not n:
        return state
    sigma, actual = outcomes.sigma[known], outcomes.actual[known, None]
    logs = float(np.log(sigma).mean())
    if state.reference is None:
        state = StepState(state.width, state.slope, state.centre, state.median, logs, state.days)
    quantiles = calibrate_step(state, outcomes.raw[known], sigma, step)
    below, above = actual < quantiles[:, _LOWER], actual > quantiles[:, _UPPER]
    shortfall = _NOMINAL - 1.0 + below + above
    weight = n / (n + FEW)
    by_volatility = shortfall * _relative_volatility(state, sigma)[:, None]
    # One sum for all: a day has few symbols, so the calls take the time.
    observed = np.concatenate([shortfall, by_volatility, above, below, actual < quantiles[:, MEDIAN, None]], axis=1)
    means = np.add.reduce(observed, axis=0) / n
    width_step, slope_step = means[:3] * weight / 2, means[3:6] * weight / 2
    centre_step = (means[6:9] - means[9:12]) * weight / 2
    median_step = 0.5 - float(means[12])
    assert state.reference is not None
    return StepState(
        width=_bounded(np.asarray(state.width) + WIDTH_RATES * width_step, _WIDTH_BOUND),
        slope=_bounded(np.asarray(state.slope) + SLOPE_RATES * slope_step, _SLOPE_BOUND),
        centre=_bounded(np.asarray(state.centre) + CENTRE_RATES * centre_step, _CENTRE_BOUND),
        median=min(max(state.median + MEDIAN_RATE * weight * median_step, -_MEDIAN_BOUND), _MEDIAN_BOUND),
        reference=state.reference + REFERENCE_RATE * weight * (logs - state.reference),
        days=state.days + 1,
    )


def _relative_volatility(state: StepState, sigma: FloatArray) -> FloatArray:
    """Return `(n,)` log volatility minus the reference, clipped; zeros while there is no reference."""
    if state.reference is None:
        return np.zeros(len(sigma))
    relative: FloatArray = np.log(sigma) - state.reference
    return np.minimum(np.maximum(relative, -VOLATILITY_REACH), VOLATILITY_REACH)


def _bounded(values: NDArray[np.float64], bound: float) -> tuple[float, ...]:
    return tuple(min(max(value, -bound), bound) for value in values.tolist())
