"""Recognising forecasters that only copy the past."""

from dataclasses import dataclass

import numpy as np

from models.backtest.analysis.comparison_set import ComparisonSet
from models.metrics.scoring_rules import BoolArray
from models.preprocessing.frame import FloatArray
from models.preprocessing.windows import IntArray

CORRELATION = 0.9
"""From this correlation with the last realised return on, either sign, a median is a copy of it."""

SKILL = 0.01
"""A median that takes more than this share off the squared error of no change has skill: no copy."""

STILL = 0.02
"""A median that moves less than this share of what outcomes move says: no change."""

MIN_ROWS = 30
"""Rows below which nothing is said."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What the lag-1 detector found.

    Attributes:
        kind: `return` (tomorrow moves as today did), `price` (tomorrow's price is that of the session before as_of:
            the forecast return is today's with the sign turned), `still` (no change, as a random walk says it), or
            `none`.
        correlation: Of the median of T with the realised return of as_of itself, each over sigma; NaN for a
            median that does not move.
        skill: 1 less the squared error of the median over that of no change, each over sigma.
        movement: Standard deviation of the median over that of the outcome, each over sigma.
        rows: Rows with a known return of as_of.
    """

    kind: str
    correlation: float
    skill: float
    movement: float
    rows: int

    @property
    def suspicious(self) -> bool:
        """Whether the median is a copied return or price. `still` is not: it is what a random walk is meant to say."""
        return self.kind in ("return", "price")


def detect_copy(comparison: ComparisonSet, index: int) -> Copy | None:
    """Whether the medians of an entry on T are copies of what happened last.

    The rule: on the rows of step 1, the median's correlation with the return of the as_of session (that of the
    symbol's row before, where its target is this as_of) is 0.9 or more in absolute value, and its skill against no
    change is 0.01 or less. A forecaster that repeats yesterday's return has correlation 1 and skill near -1; one
    that shrinks it towards nothing has correlation 1 and skill near 0; one that returns the price before as_of, the
    usual off-by-one, has correlation -1. An honest autoregression has the correlation, but skill as well.

    Args:
        board: Any board.
        index: Position of the entry.

    Returns:
        None where the board lacks T, or fewer than 30 rows know the return of as_of.
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
    """The rule of `detect_copy` on plain series.

    Args:
        median: `(n,)` forecast returns, over sigma.
        actual: `(n,)` what came.
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
