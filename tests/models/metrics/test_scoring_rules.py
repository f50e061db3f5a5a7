"""Scores with literal numbers."""

import numpy as np
import pytest

from models.metrics.scoring_rules import (
    PIT_SHARES,
    coverage_rates,
    inside,
    pinball,
    pit_bins,
    score,
    skill,
    terciles,
    winkler,
)

LADDER = np.array([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
NAN = float("nan")


def test_pinball_with_literal_numbers() -> None:
    # 3.5*.025 + 2.5*.1 + 1.5*.25 + .5*.5 + .5*.25 + 1.5*.1 + 2.5*.025 = 1.3, over seven
    assert float(pinball(np.array(0.5), LADDER)) == pytest.approx(1.3 / 7)


def test_pinball_weighs_the_tails_by_their_levels() -> None:
    low = np.array([-10.0, 0, 0, 0, 0, 0, 0])
    losses = pinball(np.array([0.0, -10.0]), np.stack([low, low]))
    # at 0: 10 * 0.025; at -10: 10 * (0.9 + 0.75 + 0.5 + 0.25 + 0.1 + 0.025)
    np.testing.assert_allclose(losses, [0.25 / 7, 25.25 / 7])


def test_bounds_count_as_inside() -> None:
    actual = np.array([-1.0, 1.0, 1.01, 2.0, 3.0, 3.01, NAN])
    ladder = np.tile(LADDER, (7, 1))
    assert inside(actual, ladder, 0.50).tolist() == [True, True, False, False, False, False, False]
    assert inside(actual, ladder, 0.80).tolist() == [True, True, True, True, False, False, False]
    assert inside(actual, ladder, 0.95).tolist() == [True, True, True, True, True, False, False]


@pytest.mark.parametrize(
    ("coverage", "actual", "expected"),
    [(0.80, 3.0, 14.0), (0.80, -2.5, 9.0), (0.50, 3.0, 10.0), (0.95, 0.0, 6.0), (0.95, 4.0, 46.0)],
)
def test_winkler_with_literal_numbers(coverage: float, actual: float, expected: float) -> None:
    assert float(winkler(np.array(actual), LADDER, coverage)) == pytest.approx(expected)


def test_score_of_many_forecasts() -> None:
    scores = score(np.array([[0.5, NAN]]), np.stack([LADDER, LADDER])[None])
    np.testing.assert_allclose(scores.pinball, [[1.3 / 7, NAN]])
    np.testing.assert_allclose(scores.error, [[0.5, NAN]])
    assert scores.inside50.tolist() == [[True, False]]
    assert scores.inside80.tolist() == [[True, False]]
    assert scores.inside95.tolist() == [[True, False]]


def test_coverage_rates_leave_unknown_outcomes_out() -> None:
    actual = np.array([[0.0, NAN], [1.5, NAN], [2.5, NAN], [9.0, NAN], [NAN, NAN]])
    rates = coverage_rates(actual, np.tile(LADDER, (5, 2, 1)))
    np.testing.assert_allclose(rates[0.50], [0.25, NAN])
    np.testing.assert_allclose(rates[0.80], [0.50, NAN])
    np.testing.assert_allclose(rates[0.95], [0.75, NAN])


def test_skill_is_one_minus_the_ratio_of_sums() -> None:
    assert skill(np.array([3.0, 1.0, NAN]), np.array([4.0, 1.0, 50.0])) == pytest.approx(0.2)
    assert np.isnan(skill(np.array([NAN]), np.array([1.0])))


def test_pit_bins_count_the_quantiles_below() -> None:
    actual = np.array([-9.0, -3.0, -2.5, -0.5, 0.5, 1.5, 2.5, 3.5])
    assert pit_bins(actual, np.tile(LADDER, (8, 1))).tolist() == [0, 0, 1, 3, 4, 5, 6, 7]
    assert sum(PIT_SHARES) == pytest.approx(1)


def test_terciles_cut_at_thirds_and_a_value_on_the_cut_is_lower() -> None:
    assert terciles(np.array([9.0, 1, 8, 2, 7, 3, 6, 4, 5])).tolist() == [2, 0, 2, 0, 2, 0, 1, 1, 1]
    assert terciles(np.array([0.0, 1, 2, 3])).tolist() == [0, 0, 1, 2]  # cuts at 1 and 2
    assert terciles(np.zeros(0)).tolist() == []
