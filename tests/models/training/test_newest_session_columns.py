"""Columns that a window holds only at its newest session."""

import numpy as np

from models.config import QUANTILES, ModelConfig, Strategy, Weighting
from models.networks import get_network
from models.preprocessing.windows import PooledWindows
from models.training.window_loop import CompiledLoop


def make_windows(newest_only: tuple[int, ...]) -> PooledWindows:
    """Return three windows of two sessions over four rows of three columns: row r holds r + 1 in all of them."""
    rows = np.repeat(np.arange(1, 5, dtype=np.float32)[:, None], 3, axis=1)
    none = np.zeros(3, np.int64)
    return PooledWindows(
        inputs=rows,
        ends=np.array([1, 2, 3]),
        lookback=2,
        sigma=np.full(3, 0.01),
        targets=np.array([[0.5], [-1.0], [2.0]]),
        symbol_index=none,
        as_of=none.astype("datetime64[D]"),
        final_at=none.astype("datetime64[s]"),
        target_final_at=none[:, None].astype("datetime64[s]"),
        newest_only=newest_only,
    )


def test_older_sessions_show_only_the_other_columns() -> None:
    gathered = make_windows((0, 2)).gather()
    assert gathered.tolist() == [[[0, n, 0], [n + 1, n + 1, n + 1]] for n in (1, 2, 3)]
    assert make_windows(()).gather()[0].tolist() == [[1, 1, 1], [2, 2, 2]]


def test_gathering_leaves_the_inputs_unchanged() -> None:
    windows = make_windows((0,))
    windows.gather()
    assert windows.inputs[:, 0].tolist() == [1, 2, 3, 4]


def test_selected_windows_show_the_same_columns() -> None:
    chosen = make_windows((1,)).select(np.array([2]))
    assert chosen.newest_only == (1,)
    assert chosen.gather().tolist() == [[[3, 0, 3], [4, 4, 4]]]


def test_training_uses_the_gathered_inputs() -> None:
    windows = make_windows((0, 1))
    config = ModelConfig("lstm", Strategy.ONE_STEP, lookback=2, units=4, weighting=Weighting.EVEN, seeds=(0,))
    loop = CompiledLoop(config, windows, np.zeros((0, 3), np.float32))
    quantiles = get_network("lstm").forward(loop.weights(), windows.gather())
    errors = windows.targets[:, :, None] - quantiles
    levels = np.array(QUANTILES)
    expected = np.maximum(levels * errors, (levels - 1) * errors).mean()
    assert abs(loop.loss_on(windows)() - expected) < 1e-6
