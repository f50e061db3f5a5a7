"""Scores of quantile forecasts. Units are those of the input: log returns times 1e4 are basis points."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.config import INTERVAL_BOUNDS, INTERVAL_LEVELS, MEDIAN, QUANTILES
from models.preprocessing.price_history import FloatArray

BoolArray = NDArray[np.bool_]

COVERAGES: tuple[float, ...] = INTERVAL_LEVELS
"""Nominal levels of the reported central intervals."""

PIT_SHARES: tuple[float, ...] = (0.025, 0.075, 0.15, 0.25, 0.25, 0.15, 0.075, 0.025)
"""Expected shares of outcomes below, between and above the seven quantiles of calibrated forecasts."""

_LEVELS = np.asarray(QUANTILES)


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of forecasts, each field in the shape of `actual`; NaN or False where actual is NaN.

    Attributes:
        pinball: Mean pinball loss over the seven quantiles.
        inside50: Whether actual is inside the central 50 % interval, bounds included.
        inside80: As `inside50`, for 80 %.
        inside95: As `inside50`, for 95 %.
        error: Actual minus median.
    """

    pinball: FloatArray
    inside50: BoolArray
    inside80: BoolArray
    inside95: BoolArray
    error: FloatArray


def pinball(actual: FloatArray, quantiles: FloatArray) -> FloatArray:
    """Return the pinball loss, the mean over `config.QUANTILES` (Koenker & Bassett 1978).

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
    """Return whether each outcome is inside a central interval, bounds included.

    Args:
        actual: `(...)` outcomes.
        quantiles: `(..., 7)`, ascending.
        coverage: One of `COVERAGES`.

    Returns:
        `(...)`; False where actual is NaN.
    """
    low, high = INTERVAL_BOUNDS[coverage]
    within: BoolArray = (quantiles[..., low] <= actual) & (actual <= quantiles[..., high])
    return within


def winkler(actual: FloatArray, quantiles: FloatArray, coverage: float) -> FloatArray:
    """Return the interval score: the width, plus 2/alpha per unit of distance outside.

    Winkler 1972; Gneiting & Raftery 2007, eq. 43.

    Args:
        actual: `(...)` outcomes.
        quantiles: `(..., 7)` in the same units, ascending.
        coverage: One of `COVERAGES`; alpha is 1 minus it.

    Returns:
        `(...)` in the same units.
    """
    low, high = (quantiles[..., position] for position in INTERVAL_BOUNDS[coverage])
    outside = np.maximum(low - actual, 0) + np.maximum(actual - high, 0)
    scores: FloatArray = high - low + 2 / (1 - coverage) * outside
    return scores


def score(actual: FloatArray, quantiles: FloatArray) -> Scores:
    """Return all stored scores of one forecast or of many.

    Args:
        actual: `(...)` cumulative log returns.
        quantiles: `(..., 7)`, ascending.
    """
    return Scores(
        pinball=pinball(actual, quantiles),
        inside50=inside(actual, quantiles, 0.50),
        inside80=inside(actual, quantiles, 0.80),
        inside95=inside(actual, quantiles, 0.95),
        error=actual - quantiles[..., MEDIAN],
    )


def coverage_rates(actual: FloatArray, quantiles: FloatArray) -> dict[float, FloatArray]:
    """Return the share of known outcomes inside each interval of `COVERAGES`, per step.

    Args:
        actual: `(rows, horizon)`, NaN where unknown.
        quantiles: `(rows, horizon, 7)`, ascending.

    Returns:
        Per coverage, `(horizon,)`; NaN for a step without a known outcome.
    """
    count = (~np.isnan(actual)).sum(axis=0).astype(np.float64)
    count[count == 0] = np.nan
    return {coverage: inside(actual, quantiles, coverage).sum(axis=0) / count for coverage in COVERAGES}


def pit_bins(actual: FloatArray, quantiles: FloatArray) -> NDArray[np.int64]:
    """Return the bin of each outcome between the quantiles, the probability integral transform in eight bins.

    Args:
        actual: `(rows,)` known outcomes.
        quantiles: `(rows, 7)` in the same units, ascending.

    Returns:
        `(rows,)` in 0..7: the number of quantiles below the outcome. With calibrated forecasts, the bins have the
        shares `PIT_SHARES`.
    """
    below: NDArray[np.int64] = (quantiles < actual[:, None]).sum(axis=1)
    return below


def terciles(sigma: FloatArray) -> NDArray[np.int64]:
    """Return the third of the sample that each row's volatility belongs to: 0 low, 1 middle, 2 high.

    The cuts are the sample's 1/3 and 2/3 quantiles (linear interpolation); a value on a cut belongs to the lower third.

    Args:
        sigma: `(rows,)` volatilities known at as_of, finite.
    """
    if not len(sigma):
        return np.zeros(0, np.int64)
    cuts = np.quantile(sigma, (1 / 3, 2 / 3))
    return np.searchsorted(cuts, sigma, side="left").astype(np.int64)


def skill(loss: FloatArray, reference_loss: FloatArray) -> float:
    """Return 1 minus the ratio of the summed losses, on rows where both are known; NaN where there are none."""
    known = ~(np.isnan(loss) | np.isnan(reference_loss))
    total = float(reference_loss[known].sum())
    return 1 - float(loss[known].sum()) / total if total > 0 else float("nan")
