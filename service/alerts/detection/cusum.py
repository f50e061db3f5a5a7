"""A sequential test of coverage: two Bernoulli CUSUMs with thresholds set by their exact average run length.

If forecasts are calibrated, whether a close is inside its 80 % interval is an independent Bernoulli variable with
p = 0.8 from session to session (Christoffersen 1998, Evaluating interval forecasts, International Economic Review
39(4)). The Bernoulli CUSUM (Page 1954; Reynolds and Stoumbos 1999, A CUSUM chart for monitoring a proportion when
inspecting continuously, Journal of Quality Technology 31(1)) sums log-likelihood ratios and never falls below 0. Their
ratio is rounded to integers here, so that the sum moves on a lattice and its average run length follows exactly from a
Markov chain (Brook and Evans 1972, Biometrika 59(3)).

A subscription of n symbols has 2 n sums. The expected numbers of their false alarms add up, however dependent the
symbols are; each sum therefore gets an average run length of 2 n 250 sessions.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

LEVEL = 80
"""The interval whose coverage is tested, in percent."""

SESSIONS_PER_FALSE_ALARM = 250
"""Sessions in which a subscription has at most one false alarm, in expectation."""

_OUTSIDE = 0.2
"""Probability of a close outside the interval, if forecasts are calibrated."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Steps of a sum.

    Attributes:
        inside: Added for a close inside the interval.
        outside: Added for a close outside it.
    """

    inside: int
    outside: int


LOW = Weights(-1, 3)
"""Against a coverage that is too low: the likelihood ratio of 70 % to 80 %, which is -1 : 3.04."""

HIGH = Weights(1, -6)
"""Against a coverage that is too high: the likelihood ratio of 90 % to 80 %, which is 1 : -5.88."""


@dataclass(frozen=True, slots=True)
class Sums:
    """The two sums of a symbol."""

    low: int = 0
    high: int = 0

    def after(self, inside: bool) -> "Sums":
        """Return the sums after one session."""
        return Sums(_next(self.low, LOW, inside), _next(self.high, HIGH, inside))


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Values at which the sums alarm (inclusive)."""

    low: int
    high: int


@cache
def thresholds(symbols: int) -> Thresholds:
    """Return the thresholds for a subscription of some symbols.

    Args:
        symbols: Symbols that it covers; at least 1.
    """
    wanted = 2.0 * max(symbols, 1) * SESSIONS_PER_FALSE_ALARM
    return Thresholds(_threshold(LOW, wanted), _threshold(HIGH, wanted))


def average_run_length(weights: Weights, threshold: int, outside: float) -> float:
    """Return the expected sessions until a sum that starts at 0 reaches a threshold.

    Args:
        weights: Its steps.
        threshold: The value at which it alarms, at least 1.
        outside: Probability of a close outside the interval.
    """
    states = np.arange(threshold)
    moves = np.eye(threshold)
    for step, probability in ((weights.inside, 1.0 - outside), (weights.outside, outside)):
        target = np.maximum(states + step, 0)
        stays = target < threshold
        np.subtract.at(moves, (states[stays], target[stays]), probability)
    return float(np.linalg.solve(moves, np.ones(threshold))[0])


def _threshold(weights: Weights, wanted: float) -> int:
    """Return the smallest threshold whose average run length is at least the wanted one."""
    low, high = 0, 16
    while average_run_length(weights, high, _OUTSIDE) < wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if average_run_length(weights, middle, _OUTSIDE) < wanted:
            low = middle
        else:
            high = middle
    return high


def _next(value: int, weights: Weights, inside: bool) -> int:
    return max(value + (weights.inside if inside else weights.outside), 0)
