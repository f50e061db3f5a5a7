"""Windows: literal rows, targets and instants; holes; borders of symbols."""

from dataclasses import replace

import numpy as np
import pytest

from models.preprocessing.price_history import PriceHistory
from models.preprocessing.windows import (
    PooledWindows,
    WindowRule,
    known_returns,
    pool_windows,
    scaled_targets,
    window_ends,
)
from tests.support.factories import frame_of_closes, make_frame

NAN = float("nan")


def test_windows_end_where_a_run_is_long_enough() -> None:
    usable = np.array([1, 1, 1, 0, 1, 1, 1, 1], dtype=bool)
    assert window_ends(usable, 3).tolist() == [2, 6, 7]
    assert window_ends(usable, 1).tolist() == [0, 1, 2, 4, 5, 6, 7]
    assert window_ends(usable[:2], 3).tolist() == []


def test_targets_are_cumulative_and_scaled_by_sigma_and_root_step() -> None:
    close = np.exp(np.array([0.0, 0.01, 0.03, NAN, 0.06]))
    targets = scaled_targets(frame_of_closes(close), np.full(5, 0.02), 3)
    np.testing.assert_allclose(targets[0], [0.5, 0.03 / 0.02 / 1.4142135624, NAN], rtol=1e-9)
    np.testing.assert_allclose(targets[1], [1.0, NAN, 0.05 / 0.02 / 1.7320508076], rtol=1e-9)
    assert np.isnan(targets[4]).all()


def test_no_target_spans_a_break() -> None:
    """Closes 100, 101, a bar held back, then 50 and 51: an uncoded split of 2:1 on the third session."""
    closes = np.array([100.0, 101.0, NAN, 50.0, 51.0, 52.0])
    whole = frame_of_closes(closes)
    broken = replace(whole, breaks=whole.sessions[2:3])
    across = scaled_targets(whole, np.full(6, 0.02), 3)
    # ln(50 / 101) = -0.7031, over two sessions: without the break it would be a target of -24.86.
    assert across[1, 1] == pytest.approx(-24.858, abs=1e-3)
    targets = scaled_targets(broken, np.full(6, 0.02), 3)
    assert np.isnan(targets[:3, 1:]).all()
    assert targets[0, 0] == pytest.approx(0.49752, abs=1e-5)  # ln 1.01 / 0.02
    assert targets[3, 1] == pytest.approx(1.38666, abs=1e-5)  # ln(52 / 50) / 0.02 / sqrt(2)


def test_a_break_at_a_session_separates_it_from_those_before() -> None:
    whole = frame_of_closes(np.array([100.0, 101.0, 50.0, 51.0]))
    broken = replace(whole, breaks=whole.sessions[2:3])
    assert broken.segments.tolist() == [0, 0, 1, 1]
    assert broken.slice(2, 4).segments.tolist() == [1, 1]
    assert np.isnan(known_returns(broken, 1)).tolist() == [True, False, True, False]


def two_symbols(require_targets: bool) -> tuple[PriceHistory, PriceHistory, PooledWindows]:
    first = frame_of_closes(np.exp(0.01 * np.arange(6.0)), "AAA")
    second = frame_of_closes(np.exp(0.02 * np.arange(5.0)), "BBB")
    sigmas = [np.full(6, 0.01), np.full(5, 0.01)]
    inputs = np.arange(11, dtype=np.float32)[:, None]
    rule = WindowRule(lookback=3, horizon=2, require_targets=require_targets, min_bars=3)
    return first, second, pool_windows((first, second), sigmas, inputs, rule)


def test_a_window_never_crosses_a_symbol_border() -> None:
    _, _, windows = two_symbols(require_targets=False)
    assert windows.ends.tolist() == [2, 3, 4, 5, 8, 9, 10]
    assert windows.symbol_index.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert windows.gather()[4, :, 0].tolist() == [6.0, 7.0, 8.0]


def test_required_targets_and_their_instants() -> None:
    first, second, windows = two_symbols(require_targets=True)
    assert windows.ends.tolist() == [2, 3, 8]
    np.testing.assert_allclose(windows.targets[0], [1.0, 1.4142135624], rtol=1e-9)
    np.testing.assert_allclose(windows.targets[2], [2.0, 2.8284271247], rtol=1e-9)
    assert windows.as_of.tolist() == [first.sessions[2], first.sessions[3], second.sessions[2]]
    assert windows.target_final_at[0].tolist() == first.final_at[3:5].tolist()
    assert (windows.final_at < windows.target_final_at[:, 0]).all()


def test_unknown_targets_have_no_instant() -> None:
    _, _, windows = two_symbols(require_targets=False)
    assert np.isnat(windows.target_final_at).tolist() == np.isnan(windows.targets).tolist()
    assert np.isnan(windows.targets[3]).all()


def test_min_bars_includes_the_bar_of_as_of() -> None:
    frame = make_frame("AAA", 10, 1, holes=[2])
    rule = WindowRule(lookback=1, horizon=1, require_targets=False, min_bars=5)
    windows = pool_windows((frame,), [np.where(np.isnan(frame.close), NAN, 0.01)], np.empty((10, 0), "f4"), rule)
    assert windows.ends.tolist() == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("frames", [(), (make_frame("AAA", 2, 1),)])
def test_a_short_panel_gives_empty_arrays_of_the_right_shape(frames: tuple[PriceHistory, ...]) -> None:
    rule = WindowRule(lookback=5, horizon=3, require_targets=True)
    windows = pool_windows(frames, [np.full(2, 0.01) for _ in frames], np.empty((2 * len(frames), 4), "f4"), rule)
    assert len(windows) == 0
    assert windows.gather().shape == (0, 5, 4)
    assert windows.targets.shape == windows.target_final_at.shape == (0, 3)
