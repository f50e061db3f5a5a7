"""Computes adjustment factors of split-adjusted closes, for training and for the API."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.prices.adjustment.corporate_actions import Action

FloatArray = NDArray[np.float64]
DateArray = NDArray[np.datetime64]


def adjustment_factors(sessions: DateArray, closes: FloatArray, actions: Sequence[Action]) -> FloatArray:
    """Return the factors that adjust split-adjusted prices for dividends and factors.

    The factor of a session is the product, over all actions with a later ex-date, of `1 - dividend / close
    of the last bar before the ex-date` and of the plain factors. Yahoo computes its Adj Close from Close in this way
    (documented by users in yfinance's issue 1273). Splits have no effect: closes are on the newest basis.

    An ex-date on a missing session applies from the next bar. An action before the first bar or after the last one has
    no effect, nor has one that leaves no positive factor (the pull refuses such actions).

    Args:
        sessions: `(n,)` datetime64[D], strictly ascending.
        closes: `(n,)` split-adjusted closes in the instrument's currency; NaN where a bar is missing.
        actions: Corporate actions in any order.

    Returns:
        `(n,)` factors, 1.0 from the newest ex-date on.
    """
    factors = np.ones(len(sessions))
    present = np.flatnonzero(~np.isnan(closes))
    if len(present) == 0:
        return factors
    effective = [action for action in actions if action.kind != "split"]
    ex_dates = np.array([action.ex_date for action in effective], "datetime64[D]")
    places = np.searchsorted(sessions[present].astype("datetime64[D]"), ex_dates).tolist()
    steps = np.ones(len(sessions))
    for action, place in zip(effective, places, strict=True):
        if place in (0, len(present)):
            continue
        ratio = action.value if action.kind == "factor" else 1.0 - action.value / float(closes[present[place - 1]])
        if np.isfinite(ratio) and ratio > 0.0:
            steps[present[place]] *= ratio
    # A step at row k multiplies the rows before k: the product of all later steps.
    factors[:-1] = np.cumprod(steps[:0:-1])[::-1]
    return factors
