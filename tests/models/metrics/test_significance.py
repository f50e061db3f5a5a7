"""Diebold-Mariano test with literal numbers, and p-values compared with a table of Student's t."""

import numpy as np
import pytest

from models.errors import TooLittleHistory
from models.metrics.significance import diebold_mariano, two_sided_p


def days(n: int) -> np.ndarray:
    return np.datetime64("2024-01-01") + np.arange(n)


@pytest.mark.parametrize(
    ("statistic", "degrees", "p"),
    [
        (1.0, 1, 0.5),
        (2.0, 2, 0.1835034191),  # 1 - 2 / sqrt(6)
        (2.2281388520, 10, 0.05),
        (-2.7499956536, 30, 0.01),
        (1.959964, 10_000_000, 0.05),
        (0.0, 7, 1.0),
        (12.7062047364, 1, 0.05),
    ],
)
def test_p_values_equal_the_table(statistic: float, degrees: int, p: float) -> None:
    assert two_sided_p(statistic, degrees) == pytest.approx(p, rel=2e-4)


def test_one_step_with_literal_numbers() -> None:
    result = diebold_mariano(days(5), np.array([1.0, 2, 3, 4, 5]), np.zeros(5), 1)
    # mean 3, variance 2/5; correction sqrt(4/5): 3 sqrt(2)
    assert result.statistic == pytest.approx(4.2426406871)
    assert result.p == pytest.approx(0.013236, abs=1e-5)
    assert (result.difference, result.days) == (3.0, 5)


def test_overlap_adds_the_first_autocovariance() -> None:
    loss = np.array([0.0, 0, 3, 3, 0, 0, 3, 3])
    # mean 1.5; (2.25 + 2 * 0.28125) / 8 = 0.3515625; correction sqrt(5.25 / 8)
    assert diebold_mariano(days(8), loss, np.zeros(8), 2).statistic == pytest.approx(2.049390, rel=1e-6)
    assert diebold_mariano(days(8), loss, np.zeros(8), 1).statistic == pytest.approx(2.645751, rel=1e-6)


def test_a_variance_that_is_not_positive_falls_back_to_bartlett() -> None:
    loss = np.array([0.0, 2, 0, 2, 0, 2, 0, 2])
    # covariances 1 and -7/8: 1 - 14/8 < 0, so (1 - 7/8) / 8 = 1/64; sqrt(5.25 / 8) * 1 * 8
    assert diebold_mariano(days(8), loss, np.zeros(8), 2).statistic == pytest.approx(6.480741, rel=1e-6)


def test_losses_are_averaged_per_day_first() -> None:
    crowd = diebold_mariano(np.repeat(days(5), 10), np.repeat([1.0, 2, 3, 4, 5], 10), np.zeros(50), 1)
    assert crowd.statistic == pytest.approx(4.2426406871)
    assert crowd.days == 5


def test_sign_and_symmetry() -> None:
    random = np.random.default_rng(0)
    worse, better = random.normal(1.2, 1, 200), random.normal(1.0, 1, 200)
    forth, back = diebold_mariano(days(200), better, worse, 3), diebold_mariano(days(200), worse, better, 3)
    assert forth.statistic < 0
    assert forth.statistic == pytest.approx(-back.statistic)
    assert forth.p == pytest.approx(back.p)


def test_equal_losses_have_a_p_of_one() -> None:
    result = diebold_mariano(days(10), np.ones(10), np.ones(10), 1)
    assert (result.statistic, result.p) == (0.0, 1.0)
    certain = diebold_mariano(days(10), np.ones(10), np.zeros(10), 1)
    assert (certain.statistic, certain.p) == (float("inf"), 0.0)


def test_rows_with_an_unknown_loss_are_left_out() -> None:
    loss = np.array([1.0, 2, 3, 4, 5, float("nan")])
    assert diebold_mariano(days(6), loss, np.zeros(6), 1).days == 5


def test_too_few_days_are_an_error() -> None:
    with pytest.raises(TooLittleHistory, match="6 days with both losses"):
        diebold_mariano(days(6), np.arange(6.0), np.zeros(6), 3)
