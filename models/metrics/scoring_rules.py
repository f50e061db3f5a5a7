"""Scores of quantile forecasts. Units are those of the input: log returns times 1e4 are basis points."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.config import QUANTILES
from models.preprocessing.frame import FloatArray

BoolArray = NDArray[np.bool_]

COVERAGES: tuple[float, ...] = (0.50, 0.80, 0.95)
"""Central intervals that are reported."""

PIT_SHARES: tuple[float, ...] = (0.025, 0.075, 0.15, 0.25, 0.25, 0.15, 0.075, 0.025)
"""Share of outcomes that calibrated forecasts leave below, between and above the seven quantiles."""

_BOUNDS: dict[float, tuple[int, int]] = {0.50: (2, 4), 0.80: (1, 5), 0.95: (0, 6)}
_MEDIAN = QUANTILES.index(0.50)
_LEVELS = np.asarray(QUANTILES)


@dataclass(frozen=True, slots=True)
class Scores:
    """What forecasts earned, each field in the shape of `actual`; NaN or False where actual is NaN.

    Attributes:
        pinball: Mean pinball loss over the seven quantiles.
        inside50: Whether actual lies in the central 50 % interval, bounds included.
        inside80: As `inside50`.
        inside95: As `inside50`.
        error: Actual less median.
    """

    pinball: FloatArray
    inside50: BoolArray
    inside80: BoolArray
    inside95: BoolArray
    error: FloatArray


def pinball(actual: FloatArray, quantiles: FloatArray) -> FloatArray:
    """Pinball loss, mean over the quantiles of `specs.QUANTILES` (Koenker & Bassett 1978).

    `max(p * (y - q), (p - 1) * (y - q))`, without the factor 2 that would make its integral the CRPS.

    Args:
        actual: `(...)` outcomes.
        quantiles: `(..., 7)` in the same units, ascending.

    Returns:
        `(...)` in the same units; NaN where actual is NaN.
    """
    gap = actual[..., None] - quantiles
    losses: FloatArray = np.maximum(_LEVELS * gap, (_LEVELS - 1) * gap).mean(axis=-1)
    return losses


def inside(actual: FloatArray, quantiles: FloatArray, coverage: float) -> BoolArray:
    """Whether each outcome lies in a central interval, bounds included.

    Args:
        actual: `(...)` outcomes.
        quantiles: `(..., 7)`, ascending.
        coverage: One of `COVERAGES`.

    Returns:
        `(...)`; False where actual is NaN.
    """
    low, high = _BOUNDS[coverage]
    within: BoolArray = (quantiles[..., low] <= actual) & (actual <= quantiles[..., high])
    return within


def winkler(actual: FloatArray, quantiles: FloatArray, coverage: float) -> FloatArray:
    """Interval score (Winkler 1972; Gneiting & Raftery 2007, eq. 43): width plus 2/alpha per unit missed.

    Args:
        actual: `(...)` outcomes.
        quantiles: `(..., 7)` in the same units, ascending.
        coverage: One of `COVERAGES`; alpha is 1 less it.

    Returns:
        `(...)` in the same units.
    """
    low, high = (quantiles[..., index] for index in _BOUNDS[coverage])
    missed = np.maximum(low - actual, 0) + np.maximum(actual - high, 0)
    scores: FloatArray = high - low + 2 / (1 - coverage) * missed
    return scores


def score(actual: FloatArray, quantiles: FloatArray) -> Scores:
    """Everything that is stored for a scored forecast, for one or many at once.

    Args:
        actual: `(...)` cumulative log returns.
        quantiles: `(..., 7)`, ascending.
    """
    return Scores(
        pinball=pinball(actual, quantiles),
        inside50=inside(actual, quantiles, 0.50),
        inside80=inside(actual, quantiles, 0.80),
        inside95=inside(actual, quantiles, 0.95),
        error=actual - quantiles[..., _MEDIAN],
    )


def coverage_rates(actual: FloatArray, quantiles: FloatArray) -> dict[float, FloatArray]:
    """Share of known outcomes inside each interval of `COVERAGES`, per step.

    Args:
        actual: `(rows, horizon)`, NaN where unknown.
        quantiles: `(rows, horizon, 7)`, ascending.

    Returns:
        Per coverage `(horizon,)`; NaN for a step without a known outcome.
    """
    count = (~np.isnan(actual)).sum(axis=0).astype(np.float64)
    count[count == 0] = np.nan
    return {coverage: inside(actual, quantiles, coverage).sum(axis=0) / count for coverage in COVERAGES}


def pit_bins(actual: FloatArray, quantiles: FloatArray) -> NDArray[np.int64]:
    """Between which quantiles each outcome fell (the probability integral transform, as coarse as seven quantiles are).

    Args:
        actual: `(rows,)` known outcomes.
        quantiles: `(rows, 7)` in the same units, ascending.

    Returns:
        `(rows,)` in 0..7: how many quantiles lie below the outcome. Of calibrated forecasts a share of
        `PIT_SHARES` falls into each bin.
    """
    below: NDArray[np.int64] = (quantiles < actual[:, None]).sum(axis=1)
    return below


def terciles(sigma: FloatArray) -> NDArray[np.int64]:
    """Which third of a sample each row's volatility lies in: 0 low, 1 middle, 2 high.

    Cut at the sample's 1/3 and 2/3 quantiles (linear interpolation); a value on a cut belongs to the lower third.

    Args:
        sigma: `(rows,)` volatilities known at as_of, finite.
    """
    if not len(sigma):
        return np.zeros(0, np.int64)
    cuts = np.quantile(sigma, (1 / 3, 2 / 3))
    return np.searchsorted(cuts, sigma, side="left").astype(np.int64)


def skill(loss: FloatArray, reference_loss: FloatArray) -> float:
    """1 less the summed loss over the reference's, on the rows where both are known; NaN where there is none."""
    both = ~(np.isnan(loss) | np.isnan(reference_loss))
    total = float(reference_loss[both].sum())
    return 1 - float(loss[both].sum()) / total if total > 0 else float("nan")
