"""Whether one forecaster's losses differ from another's by more than chance."""

from dataclasses import dataclass
from math import exp, lgamma, log, sqrt

import numpy as np

from models.errors import TooLittleHistory
from models.frame import DateArray, FloatArray

_FRACTIONS = 300
"""Terms of the continued fraction; it converges in O(sqrt(max(a, b))) of them."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A Diebold-Mariano test.

    Attributes:
        statistic: Corrected statistic; negative where the first forecaster loses less.
        p: Two-sided p-value.
        difference: Mean over days of the first's loss less the second's, in the units of the losses.
        days: Number of days compared.
    """

    statistic: float
    p: float
    difference: float
    days: int


def diebold_mariano(days: DateArray, loss: FloatArray, other: FloatArray, horizon: int) -> Comparison:
    """Diebold & Mariano 1995 with the correction of Harvey, Leybourne & Newbold 1997.

    Losses are averaged per day first: symbols of a day move together and are no independent sample. The
    variance counts autocovariances up to `horizon - 1`, since steps overlap; where that sum is not
    positive, the same lags enter with Bartlett weights, which cannot be negative.

    Args:
        days: `(rows,)` as_of session of each loss, any order.
        loss: `(rows,)` losses of the first forecaster; rows with a NaN on either side are left out.
        other: `(rows,)` losses of the second, on the same rows.
        horizon: Longest step in the losses, from 1.

    Raises:
        TooLittleHistory: Fewer than `2 * horizon + 1` days.
    """
    known = ~(np.isnan(loss) | np.isnan(other))
    distinct, position = np.unique(days[known], return_inverse=True)
    n = len(distinct)
    if n < 2 * horizon + 1:
        raise TooLittleHistory(
            f"{n} days with both losses; comparing forecasts of {horizon} steps needs {2 * horizon + 1}"
        )
    daily = np.bincount(position, weights=(loss - other)[known]) / np.bincount(position)
    mean = float(daily.mean())
    variance = _mean_variance(daily - mean, horizon)
    correction = sqrt((n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n)
    if variance <= np.finfo(np.float64).tiny:
        same = abs(mean) <= np.finfo(np.float64).tiny
        return Comparison(0.0 if same else float(np.copysign(np.inf, mean)), 1.0 if same else 0.0, mean, n)
    statistic = correction * mean / sqrt(variance)
    return Comparison(statistic, two_sided_p(statistic, n - 1), mean, n)


def two_sided_p(statistic: float, degrees: int) -> float:
    """P(|t| >= |statistic|) under Student's t: the regularised incomplete beta I_x(degrees/2, 1/2).

    With x = degrees / (degrees + statistic**2); DLMF 8.17.22 gives the continued fraction.

    Args:
        statistic: Value of the statistic.
        degrees: Degrees of freedom, from 1.
    """
    x = degrees / (degrees + statistic**2)
    return _incomplete_beta(degrees / 2, 0.5, x)


def _mean_variance(centred: FloatArray, horizon: int) -> float:
    """Variance of the mean of a series whose autocovariance ends before lag `horizon`."""
    n = len(centred)
    covariances = np.array([centred[lag:] @ centred[: n - lag] / n for lag in range(horizon)])
    variance = float(covariances[0] + 2 * covariances[1:].sum()) / n
    if variance > 0:
        return variance
    bartlett = 1 - np.arange(1, horizon) / horizon
    return float(covariances[0] + 2 * (bartlett * covariances[1:]).sum()) / n


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta I_x(a, b), the fraction evaluated on the side where it converges fast."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = exp(a * log(x) + b * log(1 - x) + lgamma(a + b) - lgamma(a) - lgamma(b)) / a
    # Evaluated backwards from a fixed depth: no running products that could meet a zero.
    tail = 1.0
    for m in range(_FRACTIONS, 0, -1):
        odd = -(a + m - 1) * (a + b + m - 1) * x / ((a + 2 * m - 2) * (a + 2 * m - 1))
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        tail = 1 + odd / (1 + even / tail)
    return front / tail
