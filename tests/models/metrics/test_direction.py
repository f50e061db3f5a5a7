"""Pesaran-Timmermann test and ratios clustered by day, with literal numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import TooLittleHistory
from models.metrics.significance import critical_t, normal_upper_p, pesaran_timmermann, ratio_of_sums

# 4 rows up and up, 2 up and down, 1 down and up, 3 down and down
FORECAST = np.array([1.0] * 6 + [-1.0] * 4)
ACTUAL = np.array([1.0] * 4 + [-1.0] * 2 + [1.0] + [-1.0] * 3)


def days(n: int) -> np.ndarray:
    return np.datetime64("2024-01-01") + np.arange(n)


def test_pesaran_timmermann_with_literal_numbers() -> None:
    found = pesaran_timmermann(days(10), FORECAST, ACTUAL, 1)
    # x = .6, y = .5: P* = .5, V(P) = .025, V(P*) = .04 * .25 / 10 + 4 * .06 / 100 = .0034; .2 / sqrt(.0216)
    assert (found.hits, found.expected, found.rows, found.days) == (pytest.approx(0.7), pytest.approx(0.5), 10, 10)
    assert found.statistic == pytest.approx(1.3608276, rel=1e-6)
    assert found.p == pytest.approx(0.0868, abs=1e-4)
    # over days: mean .2, variance .24 - .04 over 10, correction sqrt(.9): sqrt(1.8)
    assert found.clustered == pytest.approx(1.3416408, rel=1e-6)
    assert found.clustered_p == pytest.approx(0.1063, abs=1e-3)


def test_more_rows_on_the_same_days_do_not_enlarge_the_clustered_sample() -> None:
    crowd = pesaran_timmermann(np.repeat(days(10), 9), np.repeat(FORECAST, 9), np.repeat(ACTUAL, 9), 1)
    assert crowd.clustered == pytest.approx(1.3416408, rel=1e-6)
    # the classic statistic assumes 90 independent rows: V(P*) = .01 / 90 + .24 / 8100; .2 / sqrt(.25 / 90 - that)
    assert crowd.statistic == pytest.approx(3.8946809, rel=1e-6)


def test_a_median_of_one_sign_has_no_statistic() -> None:
    found = pesaran_timmermann(days(10), np.ones(10), ACTUAL, 1)
    assert (found.hits, found.expected) == (pytest.approx(0.5), pytest.approx(0.5))
    assert np.isnan([found.statistic, found.p, found.clustered, found.clustered_p]).all()


def test_rows_without_a_sign_are_left_out() -> None:
    found = pesaran_timmermann(
        days(13),
        np.append(FORECAST, [0.0, 1.0, np.nan]),
        np.append(ACTUAL, [1.0, 0.0, 1.0]),
        1,
    )
    assert (found.rows, found.statistic) == (10, pytest.approx(1.3608276, rel=1e-6))
    with pytest.raises(TooLittleHistory, match="differ from zero"):
        pesaran_timmermann(days(3), np.zeros(3), np.ones(3), 1)


def test_few_days_have_no_clustered_statistic() -> None:
    found = pesaran_timmermann(np.repeat(days(2), 5), FORECAST, ACTUAL, 1)
    assert found.statistic == pytest.approx(1.3608276, rel=1e-6)
    assert np.isnan(found.clustered)


def test_the_normal_tail() -> None:
    assert normal_upper_p(1.6448536) == pytest.approx(0.05, abs=1e-7)
    assert normal_upper_p(-1.6448536) == pytest.approx(0.95, abs=1e-7)


@pytest.mark.parametrize(("degrees", "value"), [(1, 12.7062047), (4, 2.7764451), (10, 2.2281389), (250, 1.9694984)])
def test_critical_values_equal_the_table(degrees: int, value: float) -> None:
    assert critical_t(degrees) == pytest.approx(value, rel=1e-5)


def test_a_ratio_with_equal_denominators_is_a_mean() -> None:
    ratio = ratio_of_sums(np.array([1.0, 2, 3, 4, 5]), np.ones(5), 1)
    # 3 with a variance of 2/5; sqrt(.4) / sqrt(.8) * 2.7764451 = 1.9632432
    assert (ratio.value, ratio.days) == (3.0, 5)
    assert (ratio.low, ratio.high) == (pytest.approx(1.0367568, rel=1e-6), pytest.approx(4.9632432, rel=1e-6))


def test_a_ratio_weighs_days_by_their_rows() -> None:
    ratio = ratio_of_sums(np.array([1.0, 0, 3]), np.array([1.0, 1, 6]), 1)
    # 4 / 8; errors (.5, -.5, 0) * 3 / 8: variance of the mean (2 * .1875^2 / 3) / 3; * 4.3026527 / sqrt(2/3)
    assert ratio.value == 0.5
    assert ratio.high - ratio.value == pytest.approx(0.1875 * np.sqrt(2) / 3 * 4.3026527 / np.sqrt(2 / 3), rel=1e-5)


def test_a_ratio_of_too_few_days_has_no_interval() -> None:
    ratio = ratio_of_sums(np.ones(6), np.ones(6), 3)
    assert ratio.value == 1.0
    assert np.isnan([ratio.low, ratio.high]).all()
    assert np.isnan(ratio_of_sums(np.ones(9), np.zeros(9), 1).value)
    assert np.isnan(ratio_of_sums(np.zeros(0), np.zeros(0), 1).value)


@given(st.lists(st.tuples(st.sampled_from([-1.0, 1.0]), st.sampled_from([-1.0, 1.0])), min_size=4, max_size=40))
def test_opposite_forecasts_have_the_opposite_statistic(signs: list[tuple[float, float]]) -> None:
    forecast, actual = np.array(signs).T
    found = pesaran_timmermann(days(len(signs)), forecast, actual, 1)
    turned = pesaran_timmermann(days(len(signs)), -forecast, actual, 1)
    assert turned.hits == pytest.approx(1 - found.hits)
    assert turned.statistic == pytest.approx(-found.statistic, rel=1e-6, abs=1e-6, nan_ok=True)
