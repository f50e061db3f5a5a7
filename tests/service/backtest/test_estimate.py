"""The time of a backtest: from known ratios, then from its first fold."""

from pathlib import Path

import numpy as np
import pytest

from models.backtest.fold_runner import FoldTask
from models.backtest.folds import Fold
from models.backtest.forecasters import BaselineForecaster, NetworkBacktestForecaster, RecursiveBacktestForecaster
from models.backtest.protocols import BacktestForecaster
from models.config import ModelConfig, Strategy
from models.preprocessing.price_history import Panel, PriceHistory
from service.backtest.estimate import Estimate, duration, task_seconds

ONE_STEP = NetworkBacktestForecaster(ModelConfig("lstm", Strategy.ONE_STEP, 5, seeds=(0, 1)))
RECURSIVE = RecursiveBacktestForecaster(ONE_STEP)


def history(symbol: str) -> PriceHistory:
    """Return 2,000 days from 2000-01-01."""
    days = np.datetime64("2000-01-01") + np.arange(2_000)
    columns = np.full((5, len(days)), 10.0)
    return PriceHistory(symbol, "equity", "24/7", days, days.astype("datetime64[s]"), *columns)


def task(number: int, train_days: int, *forecasters: BacktestForecaster) -> FoldTask:
    """Return a fold of two symbols: some days to train on, and 100 to forecast."""
    day = np.datetime64("2000-01-01")
    train = (day, day + train_days - 1)
    validation = (train[1] + 4, train[1] + 66)
    test = (validation[1] + 4, validation[1] + 103)
    instant = np.datetime64("2001-01-01T00:00:00")
    panel = Panel((history("A"), history("B")), {})
    return FoldTask(panel, "digest", Fold(number, train, validation, test, instant, instant), forecasters, Path(), 1)


def test_a_fold_is_estimated_from_its_size() -> None:
    walk, garch = (BaselineForecaster(name, Strategy.ONE_STEP) for name in ("random_walk", "garch"))
    assert task_seconds(task(1, 500, walk)) == pytest.approx(0.1)
    assert task_seconds(task(1, 500, garch)) == pytest.approx(1.4)  # two symbols at 0.7 s
    # 1,000 windows, two seeds at 1.7 s
    assert task_seconds(task(1, 500, ONE_STEP)) == pytest.approx(3.4)
    # and 200 forecasts at 0.01 s
    assert task_seconds(task(1, 500, ONE_STEP, RECURSIVE)) == pytest.approx(5.4)


def test_the_first_fold_corrects_the_estimate() -> None:
    estimate = Estimate([task(1, 500, ONE_STEP), task(2, 1_000, ONE_STEP), task(3, 1_500, ONE_STEP)], 1)
    # 15 s until the process has loaded TensorFlow, then 3.4 + 6.8 + 10.2 s
    assert estimate.before() == (
        "to do: 3 folds with 1 forecaster; with 1 process about 35 s: a rough estimate that the first fold corrects"
    )
    # 184 s instead of 15 + 3.4 s are ten times as slow: (6.8 + 10.2) x 10 s are 2.8 minutes
    assert estimate.finished(0, 184.0) == "fold 1 took about 3 minutes; the other 2 folds take about 3 minutes"
    assert estimate.finished(1, 218.0) is None


def test_processes_share_the_folds_but_not_one_fold() -> None:
    four = [task(number, 500, ONE_STEP, RECURSIVE) for number in range(1, 5)]
    assert "with 2 processes about 25 s" in Estimate(four, 2).before()  # 15 + 4 x 5.4 / 2
    assert "with 4 processes about 20 s" in Estimate(four, 99).before()  # 15 + 5.4
    assert Estimate(four[:1], 2).finished(0, 30.0) is None  # nothing is left


def test_a_fold_that_runs_next_to_the_first_is_as_far() -> None:
    estimate = Estimate([task(number, 500, ONE_STEP, RECURSIVE) for number in range(1, 5)], 2)
    # Twice as slow. Of the other three one is about to end; two processes share two of 10.8 s.
    assert estimate.finished(1, 40.8) == "fold 2 took about 40 s; the other 3 folds take about 10 s"


def test_folds_of_several_groups_count_though_their_numbers_are_the_same() -> None:
    walk = BaselineForecaster("random_walk", Strategy.ONE_STEP)
    estimate = Estimate([task(1, 500, walk), task(1, 500, walk), task(2, 500, walk)], 1)
    assert "to do: 3 folds with 1 forecaster" in estimate.before()
    assert estimate.finished(0, 20.0) == "fold 1 took about 20 s; the other 2 folds take about 40 s"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "about 1 s"),
        (7.4, "about 7 s"),
        (47, "about 45 s"),
        (88.4, "about 90 s"),
        (90, "about 2 minutes"),
        (2_500, "about 40 minutes"),
        (7_300, "about 2 hours"),
    ],
)
def test_durations_are_said_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
