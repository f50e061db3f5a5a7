"""One fold in this process: what is trained, for how long, and what is found again."""

import time
from pathlib import Path

from models.backtest.fold_cache import read_fold_result
from models.backtest.fold_runner import FoldTask, fold_result_path, is_fold_done, run_fold
from models.backtest.folds import WalkForward, walk_forward
from models.backtest.forecasters import NetworkBacktestForecaster, RecursiveBacktestForecaster
from models.config import ModelConfig, Strategy
from tests.support.factories import make_panel

CONFIG = ModelConfig("linear", Strategy.ONE_STEP, seeds=(0,), max_epochs=1)


def test_a_fold_trains_a_network_once_for_both_strategies_and_says_how_long(tmp_path: Path) -> None:
    panel = make_panel(1300, seed=8, symbols=("AAA",), tokyo=())
    grid = panel.histories[0].sessions
    (fold,), _ = walk_forward(panel, WalkForward(grid[1200], grid[1209], 10))
    one_step = NetworkBacktestForecaster(CONFIG)
    forecasters = (one_step, RecursiveBacktestForecaster(one_step, paths=4))
    task = FoldTask(panel, "digest", fold, forecasters, tmp_path, 1)
    shares: list[tuple[str, float]] = []
    started = time.monotonic()
    done = run_fold(task, lambda progress: shares.append((progress.forecaster, progress.fraction)))
    assert (done.fold, done.made) == (1, 2)
    assert 0 < done.training_seconds < time.monotonic() - started
    # The recursive strategy begins at half of the fold and trains nothing.
    assert shares == [("linear one_step", 0.0), ("linear one_step", 0.5), ("linear recursive", 0.5)]
    results = [read_fold_result(fold_result_path(task, forecaster)) for forecaster in forecasters]
    histories = [result.history for result in results if result is not None and result.history is not None]
    assert [history.raw.shape for history in histories] == [(10, 1, 7), (10, 3, 7)]
    assert (histories[0].raw[:, 0] == histories[1].raw[:, 0]).all()
    assert is_fold_done(task)
    again = run_fold(task, lambda _: None)
    assert (again.made, again.training_seconds) == (0, 0.0)
