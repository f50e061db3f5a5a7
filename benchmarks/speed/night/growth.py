"""How a cost grows with the number of symbols: the exponent of a power law with its confidence band."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Growth:
    """An exponent: a cost grows as `symbols ** exponent`.

    Attributes:
        exponent: Least squares of the logarithms.
        low: Lower end of its 95 % confidence band; equal to the exponent with two measurements.
        high: Upper end.
    """

    exponent: float
    low: float
    high: float


def fit_growth(symbols: Sequence[int], costs: Sequence[float]) -> Growth:
    """Fit the logarithm of a cost to the logarithm of the number of symbols.

    Args:
        symbols: Number of symbols of each measurement; at least two different ones.
        costs: Cost of each measurement, above 0.

    Raises:
        ValueError: All measurements have the same number of symbols.
    """
    places, logs = np.log(np.asarray(symbols, float)), np.log(np.asarray(costs, float))
    centred = places - places.mean()
    spread = float(centred @ centred)
    if spread == 0:
        raise ValueError("growth needs measurements at two numbers of symbols at least")
    exponent = float(centred @ logs) / spread
    freedom = len(logs) - 2
    if freedom < 1:
        return Growth(exponent, exponent, exponent)
    residuals = logs - logs.mean() - exponent * centred
    error = float(np.sqrt(residuals @ residuals / freedom / spread))
    width = float(t.ppf(0.5 + CONFIDENCE / 2, freedom)) * error
    return Growth(exponent, exponent - width, exponent + width)
