"""The check for copies: forecasters that only repeat the past are detected, others are not."""

import numpy as np
import pandas as pd
import pytest

from models.backtest.analysis.comparison_set import comparison_sets
from models.backtest.analysis.naive_copy_check import Copy, detect_copy, lag_one
from tests.support.backtest_factory import Maker, rows_of, simulate, table_from, table_of

PANEL = simulate(symbols=4, sessions=200)


def copy_of(*makers: Maker) -> Copy:
    (comparison,) = comparison_sets(table_from(PANEL, *makers))
    copy = detect_copy(comparison, 0)
    assert copy is not None
    return copy


@pytest.mark.parametrize("share", [1.0, 0.5, 0.02])
def test_a_repeated_return_is_detected_at_any_size(share: float) -> None:
    copy = copy_of(Maker("copier", copy=share))
    assert (copy.kind, copy.suspicious) == ("return", True)
    assert copy.correlation == pytest.approx(1.0, abs=0.08)


def test_copies_have_the_expected_skill() -> None:
    # independent returns: repeating a share c costs c squared
    assert copy_of(Maker("copier", copy=1.0)).skill == pytest.approx(-1.0, abs=0.2)
    assert copy_of(Maker("copier", copy=0.1)).skill == pytest.approx(-0.01, abs=0.03)


def test_the_price_before_as_of_is_detected() -> None:
    copy = copy_of(Maker("off_by_one", copy=-1.0))
    assert (copy.kind, copy.suspicious) == ("price", True)
    assert copy.correlation < -0.9


def test_no_change_is_reported_but_not_suspicious() -> None:
    copy = copy_of(Maker("random_walk"))
    assert (copy.kind, copy.suspicious, copy.movement) == ("still", False, 0.0)
    assert np.isnan(copy.correlation)


def test_a_forecaster_with_skill_is_no_copy() -> None:
    copy = copy_of(Maker("seer", insight=0.2))
    assert copy.kind == "none"
    assert copy.skill == pytest.approx(1 - 0.8**2)


def test_an_autoregression_with_skill_is_no_copy() -> None:
    random = np.random.default_rng(5)
    actual = np.zeros(2000)
    for day in range(1, 2000):
        actual[day] = 0.5 * actual[day - 1] + random.normal()
    genuine = lag_one(0.5 * actual[:-1], actual[1:], actual[:-1])
    assert (genuine.kind, genuine.correlation) == ("none", pytest.approx(1.0))
    assert genuine.skill == pytest.approx(0.25, abs=0.05)
    shuffled = random.permutation(actual)
    assert lag_one(0.5 * shuffled[:-1], shuffled[1:], shuffled[:-1]).kind == "return"


def test_the_last_return_is_only_that_of_the_session_before() -> None:
    frame = rows_of(PANEL, Maker("copier", "one_step", copy=1.0))
    position = pd.to_datetime(frame["as_of"]).map({day: n for n, day in enumerate(pd.to_datetime(PANEL.sessions))})
    (comparison,) = comparison_sets(table_of(frame[position % 2 == 1]))  # no two rows are adjacent
    assert detect_copy(comparison, 0) is None
    (half,) = comparison_sets(table_of(frame[position % 4 < 2]))
    copy = detect_copy(half, 0)
    assert copy is not None
    assert copy.kind == "return"
    assert copy.rows < len(half) / 2 + 4


def test_without_t_or_with_few_rows_there_is_no_result() -> None:
    frame = rows_of(PANEL, Maker("lstm"))
    (late,) = comparison_sets(table_of(frame[frame["step"] > 1]))
    assert detect_copy(late, 0) is None
    (few,) = comparison_sets(table_from(simulate(symbols=1, sessions=30), Maker("lstm", copy=1.0)))
    assert detect_copy(few, 0) is None
