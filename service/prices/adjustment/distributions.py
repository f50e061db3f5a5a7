"""Joins dividends and capital gains of funds to one distribution per ex-date."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_SAME = 1e-6
"""Relative difference up to which a dividend and a capital gain are the same payment."""


def total_distributions(dividends: FloatArray, gains: FloatArray, closes: FloatArray) -> FloatArray:
    """Return the cash per share of each ex-date, capital gains counted once.

    Yahoo lists the capital gains of a fund apart from its dividends, and sometimes inside the dividend too. A dividend
    below the gain cannot contain it. Otherwise the fall of the close decides: nearer to the dividend, or to the sum.

    Args:
        dividends: `(n,)` dividends per share; 0 where there is none.
        gains: `(n,)` capital gains per share; 0 where there is none.
        closes: `(n,)` closes before adjustment for dividends; NaN where the bar is missing.

    Returns:
        `(n,)` distributions; 0 where there is none, NaN where no close shows yet whether the gain is counted twice.
    """
    totals = dividends + gains
    present = np.flatnonzero(~np.isnan(closes))
    for row in np.flatnonzero((gains > 0) & (dividends >= gains * (1 - _SAME))).tolist():
        place = int(np.searchsorted(present, row))
        if place in (0, len(present)):
            totals[row] = np.nan
            continue
        fall = closes[present[place - 1]] - closes[present[place]]
        if fall <= dividends[row] + gains[row] / 2:
            totals[row] = dividends[row]
    return totals
