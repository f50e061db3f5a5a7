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
    steps = _steps(sessions, closes, actions)
    # A step at row k multiplies the rows before k: the product of all later steps.
    factors[:-1] = np.cumprod(steps[:0:-1])[::-1]
    return factors


def growth_factors(sessions: DateArray, closes: FloatArray, actions: Sequence[Action]) -> FloatArray:
    """Return factors that adjust prices as `adjustment_factors` does, but are 1.0 at the first session.

    They give the same returns. An action changes the factors from its ex-date on alone, so nothing later changes a
    price before it, not even in the last bit. The prices are on the basis of the first session, not of the last.

    Args:
        sessions: `(n,)` datetime64[D], strictly ascending.
        closes: `(n,)` split-adjusted closes; NaN where a bar is missing.
        actions: Corporate actions in any order.

    Returns:
        `(n,)` factors; that of a session is the product of `1 / step` up to it.
    """
    factors: FloatArray = np.asarray(np.cumprod(1.0 / _steps(sessions, closes, actions)), np.float64)
    return factors


def _steps(sessions: DateArray, closes: FloatArray, actions: Sequence[Action]) -> FloatArray:
    """Return `(n,)` factors that each row's own actions apply to all earlier rows, 1.0 where it has none."""
    steps = np.ones(len(sessions))
    present = np.flatnonzero(~np.isnan(closes))
    if len(present) == 0:
        return steps
    effective = sorted((a for a in actions if a.kind != "split"), key=lambda a: (a.ex_date, a.kind, a.value))
    ex_dates = np.array([action.ex_date for action in effective], "datetime64[D]")
    places = np.searchsorted(sessions[present].astype("datetime64[D]"), ex_dates).tolist()
    for action, place in zip(effective, places, strict=True):
        if place in (0, len(present)):
            continue
        ratio = action.value if action.kind == "factor" else 1.0 - action.value / float(closes[present[place - 1]])
        if np.isfinite(ratio) and ratio > 0.0:
            steps[present[place]] *= ratio
    return steps
