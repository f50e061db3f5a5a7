"""One step's calibration: moving its quantiles, and learning from a day of outcomes.

Quantile tracking on residuals scaled by volatility, after adaptive conformal inference (Gibbs & Candes 2021) and
its conditional form (Gibbs, Cherian & Candes 2023): after each day every interval moves out where fewer outcomes
lay inside than its level says, and in where more did. Width and position are tracked apart, since the symbols of a
day move together: a market move empties one side of every interval and says little on the width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.calibration.state import StepState
from models.preprocessing.frame import FloatArray

WIDTH_RATES = np.array([0.08, 0.06, 0.04])
"""Per pair, outermost first: how far a day moves the width at most is half of it, in units of sigma * sqrt(step)."""
SLOPE_RATES = 6 * WIDTH_RATES
CENTRE_RATES = np.array([0.016, 0.005, 0.002])
MEDIAN_RATE = 0.002
REFERENCE_RATE = 0.02
"""Share by which a day moves the mean log volatility that slopes are measured from."""

VOLATILITY_REACH = 1.5
"""Log volatility further than this from the reference counts as this far."""
FEW = 2
"""A day of n symbols moves the state by n / (n + FEW) of the rates: few symbols say less than many."""

_NOMINAL = np.array([0.95, 0.80, 0.50])
_WIDTH_BOUND, _SLOPE_BOUND, _CENTRE_BOUND, _MEDIAN_BOUND = 2.0, 1.0, 1.0, 0.5


@dataclass(frozen=True, slots=True)
class StepOutcomes:
    """The outcomes of one step that became final together: one day's.

    Attributes:
        raw: `(n, 7)` uncalibrated quantiles, log returns, ascending.
        sigma: `(n,)` daily volatility known at as_of.
        actual: `(n,)` log returns; NaN where unknown.
    """

    raw: FloatArray
    sigma: FloatArray
    actual: FloatArray


def calibrate_step(state: StepState, raw: FloatArray, sigma: FloatArray, step: int) -> FloatArray:
    """Move the quantiles of one step.

    Args:
        state: What was learnt by the instant of the forecast.
        raw: `(n, 7)` uncalibrated quantiles, log returns, ascending.
        sigma: `(n,)` daily volatility known at as_of.
        step: 1, 2, 3.

    Returns:
        `(n, 7)` ascending: quantiles that would cross are sorted. The raw ones while nothing is learnt.
    """
    scale = sigma[:, None] * np.sqrt(step)
    shift = np.empty_like(raw)
    out = np.asarray(state.width) + np.asarray(state.slope) * _volatility(state, sigma)[:, None]
    shift[:, :3] = np.asarray(state.centre) - out
    shift[:, 3] = state.median
    shift[:, :3:-1] = np.asarray(state.centre) + out
    moved: FloatArray = np.sort(raw + shift * scale, axis=1)
    return moved


def calibrate_batch(states: Sequence[StepState], raw: FloatArray, sigma: FloatArray) -> FloatArray:
    """Move the quantiles of every step.

    Args:
        states: One per step, T first.
        raw: `(n, horizon, 7)` log returns.
        sigma: `(n,)` daily volatility known at as_of.

    Returns:
        `(n, horizon, 7)`, ascending along the last axis.
    """
    parts = [calibrate_step(state, raw[:, place], sigma, place + 1) for place, state in enumerate(states)]
    stacked: FloatArray = np.stack(parts, axis=1)
    return stacked


def learn_step(state: StepState, outcomes: StepOutcomes, step: int) -> StepState:
    """Learn from one day: its symbols are averaged first, they are one observation.

    The step is bounded: no part moves by more than its rate, nor out of its bounds, whatever the outcomes were.

    Args:
        state: What was learnt before.
        outcomes: The day's.
        step: 1, 2, 3.

    Returns:
        The state after it; the same where no outcome is known.
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
    below, above = actual < quantiles[:, :3], actual > quantiles[:, :3:-1]
    lack = _NOMINAL - 1.0 + below + above
    share = n / (n + FEW)
    toward = np.asarray([lack.mean(axis=0), (lack * _volatility(state, sigma)[:, None]).mean(axis=0)]) * share / 2
    side = (above.mean(axis=0) - below.mean(axis=0)) * share / 2
    over_median = 0.5 - float((actual[:, 0] < quantiles[:, 3]).mean())
    assert state.reference is not None
    return StepState(
        width=_bounded(np.asarray(state.width) + WIDTH_RATES * toward[0], _WIDTH_BOUND),
        slope=_bounded(np.asarray(state.slope) + SLOPE_RATES * toward[1], _SLOPE_BOUND),
        centre=_bounded(np.asarray(state.centre) + CENTRE_RATES * side, _CENTRE_BOUND),
        median=min(max(state.median + MEDIAN_RATE * share * over_median, -_MEDIAN_BOUND), _MEDIAN_BOUND),
        reference=state.reference + REFERENCE_RATE * share * (logs - state.reference),
        days=state.days + 1,
    )


def _volatility(state: StepState, sigma: FloatArray) -> FloatArray:
    """`(n,)` log volatility above the reference, within reach; zeros while there is no reference."""
    if state.reference is None:
        return np.zeros(len(sigma))
    return np.clip(np.log(sigma) - state.reference, -VOLATILITY_REACH, VOLATILITY_REACH)


def _bounded(values: NDArray[np.float64], bound: float) -> tuple[float, ...]:
    return tuple(np.clip(values, -bound, bound).tolist())
