"""The sums and their thresholds, against run lengths that are known otherwise."""

import pytest

from service.alerts.detection.cusum import HIGH, LOW, Sums, Thresholds, Weights, average_run_length, thresholds


def test_a_run_of_outcomes_needs_the_known_number_of_sessions() -> None:
    # Two outcomes in a row of probability 1/2: 6 on average; three: 14.
    resets = Weights(-100, 1)
    assert average_run_length(resets, 2, 0.5) == pytest.approx(6.0)
    assert average_run_length(resets, 3, 0.5) == pytest.approx(14.0)
    assert average_run_length(resets, 1, 0.2) == pytest.approx(5.0)


def test_sums_move_by_their_weights_and_never_below_0() -> None:
    sums = Sums()
    for inside in (True, False, False, True):
        sums = sums.after(inside)
    assert sums == Sums(low=5, high=1)
    assert Sums(2, 4).after(False) == Sums(5, 0)


def test_thresholds_are_the_smallest_with_the_wanted_run_length() -> None:
    assert thresholds(1) == Thresholds(20, 26)
    for symbols in (1, 20, 500):
        limits = thresholds(symbols)
        wanted = 500 * symbols
        for weights, limit in ((LOW, limits.low), (HIGH, limits.high)):
            assert average_run_length(weights, limit, 0.2) >= wanted > average_run_length(weights, limit - 1, 0.2)


@pytest.mark.parametrize("symbols", [1, 7, 100, 5000])
def test_the_expected_false_alarms_of_a_subscription_are_at_most_one_per_250_sessions(symbols: int) -> None:
    limits = thresholds(symbols)
    rate = 1 / average_run_length(LOW, limits.low, 0.2) + 1 / average_run_length(HIGH, limits.high, 0.2)
    assert 250 * symbols * rate <= 1.0
