"""Whether one forecaster's losses differ from another's by more than chance."""

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np

from models.errors import TooLittleHistory
from models.preprocessing.frame import DateArray, FloatArray


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


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of two sums over days with its confidence interval, bounds inclusive.

    Attributes:
        value: Sum of the numerators over the sum of the denominators.
        low: Lower end of the 95 % interval; NaN where there are too few days for one.
        high: Upper end.
        days: Number of days summed.
    """

    value: float
    low: float
    high: float
    days: int


@dataclass(frozen=True, slots=True)
class Direction:
    """A test of whether the sign of a forecast tells the sign of the outcome.

    Attributes:
        hits: Share of rows with the same sign.
        expected: The share that signs drawn independently, as often up as they were, would hit.
        statistic: Of Pesaran & Timmermann 1992; positive where the forecast hits more than expected.
        p: One-sided, of that statistic, as if rows were independent.
        clustered: The same excess of hits, with days as the sample.
        clustered_p: One-sided, of `clustered`.
        rows: Rows compared.
        days: Days they lie on.
    """

    hits: float
    expected: float
    statistic: float
    p: float
    clustered: float
    clustered_p: float
    rows: int
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
    if variance <= np.finfo(np.float64).tiny:
        same = abs(mean) <= np.finfo(np.float64).tiny
        return Comparison(0.0 if same else float(np.copysign(np.inf, mean)), 1.0 if same else 0.0, mean, n)
    statistic = _correction(n, horizon) * mean / sqrt(variance)
    return Comparison(statistic, two_sided_p(statistic, n - 1), mean, n)


def ratio_of_sums(numerators: FloatArray, denominators: FloatArray, horizon: int) -> Ratio:
    """A ratio estimate with a 95 % interval that is clustered by day and allows for overlapping steps.

    The ratio's error is to first order the mean of `(a_t - R b_t) / mean(b)` (Cochran 1977, section 2.11);
    its variance is that of `diebold_mariano`, with the same small-sample correction and Student's t. With row counts
    as denominators this is a mean over rows with days as clusters.

    Args:
        numerators: `(days,)` sum of each day, days ascending.
        denominators: `(days,)` likewise, not negative.
        horizon: Longest step behind the sums, from 1.

    Returns:
        NaN ends under `2 * horizon + 1` days; all NaN where the denominators sum to nothing.
    """
    n = len(numerators)
    total = float(denominators.sum())
    if n == 0 or total <= 0:
        return Ratio(float("nan"), float("nan"), float("nan"), n)
    value = float(numerators.sum()) / total
    if n < 2 * horizon + 1:
        return Ratio(value, float("nan"), float("nan"), n)
    errors = (numerators - value * denominators) * (n / total)
    half = critical_t(n - 1) * sqrt(max(_mean_variance(errors, horizon), 0.0)) / _correction(n, horizon)
    return Ratio(value, value - half, value + half, n)


def pesaran_timmermann(days: DateArray, forecast: FloatArray, actual: FloatArray, horizon: int) -> Direction:
    """Pesaran & Timmermann 1992: are the signs of forecast and outcome independent?

    With x and y the shares of positive forecasts and outcomes, `P` the share of hits and
    `P* = x y + (1 - x)(1 - y)`, the statistic is `(P - P*) / sqrt(V(P) - V(P*))`, where `V(P) = P* (1 - P*) / n` and
    `V(P*) = ((2y - 1)^2 x (1 - x) + (2x - 1)^2 y (1 - y) + 4 x y (1 - x)(1 - y) / n) / n`. It takes rows as
    independent. Symbols of one day are not, so the same excess, `P - P* = mean of 2 (X - x)(Y - y)`, is also tested
    over days with the variance of `diebold_mariano`.

    Args:
        days: `(rows,)` as_of session of each row, any order.
        forecast: `(rows,)` forecast returns; rows with a zero or a NaN on either side are left out.
        actual: `(rows,)` outcomes.
        horizon: Longest step in the rows, from 1.

    Returns:
        NaN statistics where one side never changes sign: nothing can be told then. NaN for the clustered
        ones under `2 * horizon + 1` days.

    Raises:
        TooLittleHistory: No row has a sign on both sides.
    """
    known = ~(np.isnan(forecast) | np.isnan(actual)) & (forecast != 0) & (actual != 0)
    n = int(known.sum())
    if n == 0:
        raise TooLittleHistory("no row has both a forecast and an outcome that differ from zero; direction needs some")
    up, rose = (forecast[known] > 0).astype(np.float64), (actual[known] > 0).astype(np.float64)
    x, y = float(up.mean()), float(rose.mean())
    hits, expected = float((up == rose).mean()), x * y + (1 - x) * (1 - y)
    of_expected = (2 * y - 1) ** 2 * x * (1 - x) + (2 * x - 1) ** 2 * y * (1 - y) + 4 * x * y * (1 - x) * (1 - y) / n
    variance = (expected * (1 - expected) - of_expected) / n
    distinct, position = np.unique(days[known], return_inverse=True)
    if variance <= np.finfo(np.float64).eps / n:
        nothing = float("nan")
        return Direction(hits, expected, nothing, nothing, nothing, nothing, n, len(distinct))
    statistic = (hits - expected) / sqrt(variance)
    excess: FloatArray = np.bincount(position, weights=2 * (up - x) * (rose - y)).astype(np.float64)
    clustered = _mean_statistic(excess, np.bincount(position).astype(np.float64), horizon)
    one_sided = _upper_p(clustered, len(distinct) - 1)
    return Direction(hits, expected, statistic, normal_upper_p(statistic), clustered, one_sided, n, len(distinct))


# SciPy is imported where it is called: the scheduler and the warm forecasting worker load this module and seldom
# call it.
def normal_upper_p(statistic: float) -> float:
    """P(z >= statistic) under the standard normal."""
    from scipy.special import ndtr

    return float(ndtr(-statistic))


@lru_cache(maxsize=256)
def critical_t(degrees: int) -> float:
    """The value that |t| of Student's t exceeds with a chance of 5 %.

    Args:
        degrees: Degrees of freedom, from 1.
    """
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))


def two_sided_p(statistic: float, degrees: int) -> float:
    """P(|t| >= |statistic|) under Student's t.

    Args:
        statistic: Value of the statistic.
        degrees: Degrees of freedom, from 1.
    """
    from scipy.special import stdtr

    return float(2 * stdtr(degrees, -abs(statistic)))


def _correction(n: int, horizon: int) -> float:
    """The small-sample factor of Harvey, Leybourne & Newbold 1997."""
    return sqrt((n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n)


def _mean_statistic(sums: FloatArray, counts: FloatArray, horizon: int) -> float:
    """Corrected t statistic of a mean over rows whose sums and counts per day are given; NaN where there is none."""
    n, mean = len(sums), float(sums.sum() / counts.sum())
    if n < 2 * horizon + 1:
        return float("nan")
    variance = _mean_variance((sums - mean * counts) / counts.mean(), horizon)
    return _correction(n, horizon) * mean / sqrt(variance) if variance > 0 else float("nan")


def _upper_p(statistic: float, degrees: int) -> float:
    """P(t >= statistic) under Student's t; NaN for NaN."""
    if np.isnan(statistic):
        return float("nan")
    half = two_sided_p(statistic, degrees) / 2
    return half if statistic >= 0 else 1 - half


def _mean_variance(centred: FloatArray, horizon: int) -> float:
    """Variance of the mean of a series whose autocovariance ends before lag `horizon`."""
    n = len(centred)
    covariances = np.array([centred[lag:] @ centred[: n - lag] / n for lag in range(horizon)])
    variance = float(covariances[0] + 2 * covariances[1:].sum()) / n
    if variance > 0:
        return variance
    bartlett = 1 - np.arange(1, horizon) / horizon
    return float(covariances[0] + 2 * (bartlett * covariances[1:]).sum()) / n
