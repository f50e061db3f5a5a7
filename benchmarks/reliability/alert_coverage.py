"""False alarms of the coverage test, and how soon it finds a real drift.

Simulated are subscriptions of 1 to 500 symbols, each session with the weights and thresholds of the service. Without a
drift each symbol's closes are inside the 80 % interval with probability 0.8, independent from session to session;
between symbols they are independent, or depend on one market factor. Run from the repository's root:

    python -m benchmarks.reliability.alert_coverage [--quick]

It prints one JSON document, and exits with 1 if a subscription has more than one false alarm per 250 sessions (beyond
the error of the simulation), or a drift to 60 % of one symbol is found in the median later than after 120 sessions.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from service.alerts.detection.cusum import (
    HIGH,
    LOW,
    SESSIONS_PER_FALSE_ALARM,
    Thresholds,
    Weights,
    average_run_length,
    thresholds,
)

NOMINAL = 0.8
SIZES = (1, 5, 20, 100, 500)
MEDIAN_BAR = 120
"""Sessions within which half of the drifts from 80 % to 60 % are found, up to 100 symbols."""

_STANDARD_ERRORS = 3.0


@dataclass(frozen=True)
class FalseAlarms:
    """Alarms without a drift.

    Attributes:
        symbols: Symbols of the subscription.
        dependence: Correlation of the symbols through one factor.
        sessions: Simulated sessions of subscriptions.
        alarms: Alarms in them.
        per_250: Alarms per 250 sessions and subscription.
        standard_error: Of that figure, between independent subscriptions.
        expected_per_250: The same from the exact average run lengths.
    """

    symbols: int
    dependence: float
    sessions: int
    alarms: int
    per_250: float
    standard_error: float
    expected_per_250: float


@dataclass(frozen=True)
class Detection:
    """How soon one symbol's drift is found.

    Attributes:
        symbols: Symbols of the subscription.
        coverage: Coverage of the symbol from the drift on.
        median: Sessions until half of the drifts are found.
        p90: The same for nine of ten.
        found_in_60: Share found within 60 sessions.
        found_in_250: Share found within 250 sessions.
        exact_mean: Mean sessions from the Markov chain, for a sum at 0.
    """

    symbols: int
    coverage: float
    median: float
    p90: float
    found_in_60: float
    found_in_250: float
    exact_mean: float


class _Sums:
    """The sums of many symbols at once; `tests/reliability` holds them equal to those of the service."""

    def __init__(self, shape: tuple[int, ...], limits: Thresholds) -> None:
        self._low = np.zeros(shape, dtype=np.int32)
        self._high = np.zeros(shape, dtype=np.int32)
        self._limits = limits

    def step(self, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Count one session and return which symbols alarm; those start from 0."""
        self._low = _moved(self._low, LOW, inside)
        self._high = _moved(self._high, HIGH, inside)
        alarms = (self._low >= self._limits.low) | (self._high >= self._limits.high)
        self._low[alarms] = 0
        self._high[alarms] = 0
        return alarms


def _moved(sums: NDArray[np.int32], weights: Weights, inside: NDArray[np.bool_]) -> NDArray[np.int32]:
    return np.maximum(sums + np.where(inside, weights.inside, weights.outside), 0).astype(np.int32)


def alarms_of(inside: NDArray[np.bool_], limits: Thresholds) -> NDArray[np.bool_]:
    """Return the alarms of outcomes `(sessions, ...)`, of the same shape."""
    sums = _Sums(inside.shape[1:], limits)
    return np.stack([sums.step(row) for row in inside])


def false_alarms(symbols: int, dependence: float, subscriptions: int, sessions: int) -> FalseAlarms:
    """Simulate subscriptions without a drift.

    Args:
        symbols: Symbols of each.
        dependence: Correlation of the symbols' surprises through one factor; 0 = independent.
        subscriptions: Independent subscriptions.
        sessions: Sessions of each.
    """
    random = np.random.default_rng(20_261_127 + symbols + int(100 * dependence))
    bound = NormalDist().inv_cdf(0.5 + NOMINAL / 2)
    sums = _Sums((subscriptions, symbols), thresholds(symbols))
    counts = np.zeros(subscriptions)
    for _ in range(sessions):
        factor = random.standard_normal((subscriptions, 1))
        own = random.standard_normal((subscriptions, symbols))
        surprise = np.sqrt(dependence) * factor + np.sqrt(1 - dependence) * own
        counts += sums.step(np.abs(surprise) <= bound).sum(axis=1)
    scale = SESSIONS_PER_FALSE_ALARM / sessions
    limits = thresholds(symbols)
    rates = (
        1 / average_run_length(weights, limit, 1 - NOMINAL)
        for weights, limit in ((LOW, limits.low), (HIGH, limits.high))
    )
    return FalseAlarms(
        symbols,
        dependence,
        subscriptions * sessions,
        int(counts.sum()),
        round(float(counts.mean()) * scale, 4),
        round(float(counts.std(ddof=1)) / np.sqrt(subscriptions) * scale, 4),
        round(SESSIONS_PER_FALSE_ALARM * symbols * sum(rates), 4),
    )


def detection(symbols: int, coverage: float, trials: int) -> Detection:
    """Simulate drifts of one symbol after 250 calm sessions.

    Args:
        symbols: Symbols of the subscription, which set the thresholds.
        coverage: Coverage from the drift on.
        trials: Drifts.
    """
    random = np.random.default_rng(7 + symbols + int(1000 * coverage))
    limits = thresholds(symbols)
    sums = _Sums((trials,), limits)
    for _ in range(250):
        sums.step(random.random(trials) < NOMINAL)
    found = np.full(trials, np.inf)
    for session in range(1, 2_001):
        alarms = sums.step(random.random(trials) < coverage)
        found[alarms & np.isinf(found)] = session
        if np.isfinite(found).all():
            break
    weights, limit = (LOW, limits.low) if coverage < NOMINAL else (HIGH, limits.high)
    return Detection(
        symbols,
        coverage,
        float(np.median(found)),
        float(np.quantile(found, 0.9)),
        round(float((found <= 60).mean()), 3),
        round(float((found <= 250).mean()), 3),
        round(average_run_length(weights, limit, 1 - coverage), 1),
    )


def misses(alarms: list[FalseAlarms], found: list[Detection]) -> list[str]:
    """Return one sentence per bar that is missed."""
    sentences = [
        f"{each.symbols} symbols, dependence {each.dependence}: {each.per_250} false alarms per 250 sessions"
        for each in alarms
        if each.expected_per_250 > 1 or each.per_250 - _STANDARD_ERRORS * each.standard_error > 1
    ]
    return sentences + [
        f"{each.symbols} symbols: a drift to {each.coverage:.0%} takes {each.median:.0f} sessions in the median"
        for each in found
        if each.coverage == 0.6 and each.symbols <= 100 and each.median > MEDIAN_BAR
    ]


def main(arguments: list[str]) -> int:
    """Run the simulation; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer subscriptions and sizes")
    quick = parser.parse_args(arguments).quick
    sizes, subscriptions, sessions, trials = ((1, 20), 100, 1_000, 400) if quick else (SIZES, 400, 5_000, 4_000)
    alarms = [
        false_alarms(size, dependence, max(subscriptions * 5 // max(size, 5), 40), sessions)
        for size in sizes
        for dependence in ((0.0,) if size == 1 else (0.0, 0.5))
    ]
    found = [detection(size, coverage, trials) for size in sizes for coverage in (0.5, 0.6, 0.7, 0.9, 0.95, 0.99)]
    missed = misses(alarms, found)
    document = {"false_alarms": [asdict(each) for each in alarms], "detection": [asdict(each) for each in found]}
    print(json.dumps({**document, "missed": missed}, indent=2))
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
