"""Detection of forecasters that only copy the past."""

from dataclasses import dataclass

import numpy as np

from models.backtest.analysis.comparison_set import ComparisonSet
from models.metrics.scoring_rules import BoolArray
from models.preprocessing.price_history import FloatArray
from models.preprocessing.windows import IntArray

CORRELATION = 0.9
"""A median whose correlation with the last realised return is at least this, in absolute value, may be a copy."""

SKILL = 0.01
"""A median that lowers the squared error of no change by more than this share has skill: it is no copy."""

STILL = 0.02
"""A median whose spread is below this share of the outcomes' spread forecasts no change."""

MIN_ROWS = 30
"""Minimum of rows for a result."""


@dataclass(frozen=True, slots=True)
class Copy:
    """Result of the check for copies of the last return.

    Attributes:
        kind: `return` (tomorrow's return is today's), `price` (tomorrow's price is that of the session before as_of:
            the forecast return is today's with the sign reversed), `still` (no change, as a random walk forecasts), or
            `none`.
        correlation: Of the median of T with the realised return of as_of itself, each over sigma; NaN for a
            constant median.
        skill: 1 minus the squared error of the median over that of no change, each over sigma.
        movement: Standard deviation of the median over that of the outcome, each over sigma.
        rows: Number of rows with a known return of as_of.
    """

    kind: str
    correlation: float
    skill: float
    movement: float
    rows: int

    @property
    def suspicious(self) -> bool:
        """Whether the median is a copied return or price. `still` is not: a random walk is meant to forecast it."""
        return self.kind in ("return", "price")


def detect_copy(comparison: ComparisonSet, index: int) -> Copy | None:
    """Return whether the medians of an entry on T are copies of the last return or price.

    The rule: on the rows of step 1, the median's correlation with the return of the as_of session (that of the
    symbol's previous row, if its target is this as_of) is 0.9 or more in absolute value, and its skill against no
    change is 0.01 or less. A forecaster that repeats yesterday's return has correlation 1 and skill near -1; one
    that shrinks it towards 0 has correlation 1 and skill near 0; one that returns the price before as_of, the
    usual off-by-one error, has correlation -1. A genuine autoregression has the correlation, but skill as well.

    Args:
        comparison: The comparison set.
        index: Position of the entry.

    Returns:
        None if the set lacks T, or if fewer than 30 rows have a known return of as_of.
    """
    if comparison.steps[0] != 1:
        return None
    rows = np.flatnonzero(comparison.at_step(1))
    order = rows[np.lexsort((comparison.as_of[rows], comparison.symbol[rows]))]
    previous, current = order[:-1], order[1:]
    follows = _follows(comparison, previous, current)
    if int(follows.sum()) < MIN_ROWS:
        return None
    current, previous = current[follows], previous[follows]
    scale = comparison.sigma[current]
    return lag_one(
        comparison.median(index)[current] / scale,
        comparison.actual[current] / scale,
        comparison.actual[previous] / scale,
    )


def lag_one(median: FloatArray, actual: FloatArray, last: FloatArray) -> Copy:
    """Apply the rule of `detect_copy` to plain series.

    Args:
        median: `(n,)` forecast returns, over sigma.
        actual: `(n,)` actual returns, over sigma.
        last: `(n,)` the newest return known when each forecast was made.
    """
    spread, outcome = float(median.std()), float(actual.std())
    movement = spread / outcome if outcome > 0 else float("nan")
    squared = float((actual**2).sum())
    skill = 1 - float(((actual - median) ** 2).sum()) / squared if squared > 0 else float("nan")
    moves = spread > 1e-12 and float(last.std()) > 1e-12
    correlation = float(np.corrcoef(median, last)[0, 1]) if moves else float("nan")
    return Copy(_kind(correlation, skill, movement), correlation, skill, movement, len(median))


def _kind(correlation: float, skill: float, movement: float) -> str:
    if skill <= SKILL and abs(correlation) >= CORRELATION:
        return "return" if correlation > 0 else "price"
    return "still" if movement < STILL else "none"


def _follows(comparison: ComparisonSet, previous: IntArray, current: IntArray) -> BoolArray:
    same = comparison.symbol[previous] == comparison.symbol[current]
    adjacent: BoolArray = same & (comparison.target_session[previous] == comparison.as_of[current])
    return adjacent
