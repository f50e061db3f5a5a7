"""Significance tests and confidence intervals of the differences between forecasters."""

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np

from models.errors import TooLittleHistory
from models.preprocessing.price_history import DateArray, FloatArray


@dataclass(frozen=True, slots=True)
class Comparison:
    """Result of a Diebold-Mariano test.

    Attributes:
        statistic: Corrected statistic; negative where the first forecaster has the lower loss.
        p: Two-sided p-value.
        difference: Mean over days of the first loss minus the second, in the units of the losses.
        days: Number of days compared.
    """

    statistic: float
    p: float
    difference: float
    days: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ratio of two sums over days with its confidence interval, bounds inclusive.

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
    """Result of a test of whether the sign of a forecast predicts the sign of the outcome.

    Attributes:
        hits: Share of rows with the same sign.
        expected: Expected share for independent signs with the same frequencies of up and down.
        statistic: Statistic of Pesaran & Timmermann 1992; positive where the hits exceed `expected`.
        p: One-sided p-value of that statistic, as if rows were independent.
        clustered: Statistic of the same excess of hits, with days as the sample.
        clustered_p: One-sided p-value of `clustered`.
        rows: Number of rows compared.
        days: Number of their days.
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
    """Test whether two forecasters have equal losses.

    Diebold & Mariano 1995 with the correction of Harvey, Leybourne & Newbold 1997. Losses are averaged per day
    first: the symbols of a day move together and are not an independent sample. The variance includes autocovariances
    up to `horizon - 1`, since steps overlap; where that sum is not positive, the same lags enter with Bartlett
    weights, whose sum cannot be negative.

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
    """Return a ratio with a 95 % interval that is clustered by day and allows for overlapping steps.

    To first order the error of the ratio is the mean of `(a_t - R b_t) / mean(b)` (Cochran 1977, section 2.11);
    its variance is that of `diebold_mariano`, with the same small-sample correction and Student's t. With row counts
    as denominators this is a mean over rows with days as clusters.

    Args:
        numerators: `(days,)` sum of each day, days ascending.
        denominators: `(days,)` sum of each day, not negative.
        horizon: Longest step in the sums, from 1.

    Returns:
        The ratio; its bounds are NaN below `2 * horizon + 1` days; all NaN where the denominators sum to 0.
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
    """Test whether the signs of forecasts and outcomes are independent (Pesaran & Timmermann 1992).

    With x and y the shares of positive forecasts and outcomes, `P` the share of hits and
    `P* = x y + (1 - x)(1 - y)`, the statistic is `(P - P*) / sqrt(V(P) - V(P*))`, where `V(P) = P* (1 - P*) / n` and
    `V(P*) = ((2y - 1)^2 x (1 - x) + (2x - 1)^2 y (1 - y) + 4 x y (1 - x)(1 - y) / n) / n`. It assumes independent
    rows. The symbols of one day are not independent, so the same excess, `P - P* = mean of 2 (X - x)(Y - y)`, is also
    tested over days with the variance of `diebold_mariano`.

    Args:
        days: `(rows,)` as_of session of each row, any order.
        forecast: `(rows,)` forecast returns; rows with a zero or a NaN on either side are left out.
        actual: `(rows,)` outcomes.
        horizon: Longest step in the rows, from 1.

    Returns:
        The result; its statistics are NaN where one side never changes sign, since there is no test then, and the
        clustered ones are NaN below `2 * horizon + 1` days.

    Raises:
        TooLittleHistory: No row has a nonzero forecast and outcome.
    """
    known = ~(np.isnan(forecast) | np.isnan(actual)) & (forecast != 0) & (actual != 0)
    n = int(known.sum())
    if n == 0:
        raise TooLittleHistory(
            "no row has both a forecast and an outcome that differ from zero; the test of direction needs one"
        )
    up, rose = (forecast[known] > 0).astype(np.float64), (actual[known] > 0).astype(np.float64)
    x, y = float(up.mean()), float(rose.mean())
    hits, expected = float((up == rose).mean()), x * y + (1 - x) * (1 - y)
    of_expected = (2 * y - 1) ** 2 * x * (1 - x) + (2 * x - 1) ** 2 * y * (1 - y) + 4 * x * y * (1 - x) * (1 - y) / n
    variance = (expected * (1 - expected) - of_expected) / n
    distinct, position = np.unique(days[known], return_inverse=True)
    if variance <= np.finfo(np.float64).eps / n:
        nan = float("nan")
        return Direction(hits, expected, nan, nan, nan, nan, n, len(distinct))
    statistic = (hits - expected) / sqrt(variance)
    excess: FloatArray = np.bincount(position, weights=2 * (up - x) * (rose - y)).astype(np.float64)
    clustered = _mean_statistic(excess, np.bincount(position).astype(np.float64), horizon)
    one_sided = _upper_p(clustered, len(distinct) - 1)
    return Direction(hits, expected, statistic, normal_upper_p(statistic), clustered, one_sided, n, len(distinct))


# SciPy is imported inside the functions: the scheduler and the warm forecasting worker import this module and rarely
# call them.
def normal_upper_p(statistic: float) -> float:
    """Return P(z >= statistic) under the standard normal distribution."""
    from scipy.special import ndtr

    return float(ndtr(-statistic))


@lru_cache(maxsize=256)
def critical_t(degrees: int) -> float:
    """Return the value that |t| of Student's t exceeds with a probability of 5 %.

    Args:
        degrees: Degrees of freedom, from 1.
    """
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))


def two_sided_p(statistic: float, degrees: int) -> float:
    """Return P(|t| >= |statistic|) under Student's t.

    Args:
        statistic: Value of the statistic.
        degrees: Degrees of freedom, from 1.
    """
    from scipy.special import stdtr

    return float(2 * stdtr(degrees, -abs(statistic)))


def _correction(n: int, horizon: int) -> float:
    """Return the small-sample factor of Harvey, Leybourne & Newbold 1997."""
    return sqrt((n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n)


def _mean_statistic(sums: FloatArray, counts: FloatArray, horizon: int) -> float:
    """Return the corrected t statistic of a mean over rows from sums and counts per day; NaN where undefined."""
    n, mean = len(sums), float(sums.sum() / counts.sum())
    if n < 2 * horizon + 1:
        return float("nan")
    variance = _mean_variance((sums - mean * counts) / counts.mean(), horizon)
    return _correction(n, horizon) * mean / sqrt(variance) if variance > 0 else float("nan")


def _upper_p(statistic: float, degrees: int) -> float:
    """Return P(t >= statistic) under Student's t; NaN for NaN."""
    if np.isnan(statistic):
        return float("nan")
    half = two_sided_p(statistic, degrees) / 2
    return half if statistic >= 0 else 1 - half


def _mean_variance(centred: FloatArray, horizon: int) -> float:
    """Return the variance of the mean of a series whose autocovariance is 0 from lag `horizon` on."""
    n = len(centred)
    covariances = np.array([centred[lag:] @ centred[: n - lag] / n for lag in range(horizon)])
    variance = float(covariances[0] + 2 * covariances[1:].sum()) / n
    if variance > 0:
        return variance
    bartlett = 1 - np.arange(1, horizon) / horizon
    return float(covariances[0] + 2 * (bartlett * covariances[1:]).sum()) / n
