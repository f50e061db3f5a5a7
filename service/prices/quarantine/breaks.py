"""Breaks of a price history: held-back bars after which the closes may be on another level."""

from collections.abc import Sequence
from datetime import date

import numpy as np

from service.prices.checks.outliers import JUMP
from service.prices.checks.row_checks import DateArray, FloatArray

SAME_LEVEL = JUMP / 2
"""Largest absolute log return over held-back bars at which both sides are on one level: the bars were a spike."""


def find_breaks(sessions: DateArray, closes: FloatArray, held: Sequence[date] | DateArray) -> DateArray:
    """Return the held sessions over which the level of the closes may have changed, ascending.

    A held bar is no break where the closes before and after it are on one level, or where it has a close after all.
    While there is no close after it, it is a break.

    Args:
        sessions: `(n,)` datetime64[D], ascending.
        closes: `(n,)` adjusted closes, NaN where a bar is missing or held.
        held: Sessions whose bars are held back, ascending.
    """
    days = np.asarray(held, dtype="datetime64[D]")
    known = np.flatnonzero(~np.isnan(closes))
    if not len(days) or not len(known):
        return days
    days = days[~np.isin(days, sessions[known])]
    after = np.searchsorted(sessions[known], days)
    logs = np.log(closes[known])
    inside = (after > 0) & (after < len(known))
    change = np.full(len(days), np.inf)
    change[inside] = np.abs(logs[after[inside]] - logs[after[inside] - 1])
    return days[change > SAME_LEVEL]
