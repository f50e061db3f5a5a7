"""Moving shapes: the generated frames, and that a network learns them."""

import numpy as np

from benchmarks.accuracy.moving_shapes import TrainingSetup, learn, moving_shapes, shuffled

SEQUENCES = moving_shapes(200, 10, 16, seed=3)


def centres(sequences: np.ndarray) -> np.ndarray:
    """Return the `(samples, frames, 2)` centres of gravity."""
    mass = sequences[..., 0]
    rows, columns = (np.arange(mass.shape[axis]) for axis in (2, 3))
    weight = mass.sum(axis=(2, 3))
    return np.stack([(mass.sum(axis=3) @ rows) / weight, (mass.sum(axis=2) @ columns) / weight], axis=-1)


def test_shapes_are_squares_and_discs_inside_the_frame() -> None:
    assert SEQUENCES.shape == (200, 10, 16, 16, 1)
    assert set(np.unique(SEQUENCES)) == {0.0, 1.0}
    # A square of half width 2 has 16 to 25 cells, a disc of radius 2 some 9 to 16; none is cut off by the border.
    assert SEQUENCES.sum(axis=(2, 3, 4)).min() >= 9
    assert SEQUENCES.sum(axis=(2, 3, 4)).max() <= 49


def test_shapes_move_at_constant_speed_and_bounce() -> None:
    moved = np.diff(centres(moving_shapes(200, 10, 64, seed=3)), axis=1)
    # 1/32 to 3/32 of 64 cells a frame, and up to a cell of rounding.
    assert np.abs(moved).max() <= 6 + 1
    fastest = np.abs(moved).max(axis=1, keepdims=True)
    # A frame in which a shape turns is the only one in which it moves less.
    steady = np.abs(moved) >= fastest - 1.01
    assert 0.8 < steady.mean() < 1.0
    turned = np.diff(np.sign(moved), axis=1) != 0
    assert 0.2 < turned.any(axis=1).mean() < 0.9


def test_shapes_come_from_the_seed() -> None:
    np.testing.assert_array_equal(SEQUENCES, moving_shapes(200, 10, 16, seed=3))
    assert not np.array_equal(SEQUENCES, moving_shapes(200, 10, 16, seed=4))


def test_shuffled_frames_are_the_same_frames() -> None:
    mixed = shuffled(SEQUENCES, seed=1)
    np.testing.assert_array_equal(mixed.sum(axis=1), SEQUENCES.sum(axis=1))
    assert not np.array_equal(mixed, SEQUENCES)


def test_conv3d_lstm_forecasts_moving_shapes_and_needs_their_order() -> None:
    # A tenth of the benchmark, which holds the goal of 0.5. Measured: 0.52, and 0.73 shuffled. A network that copies
    # the last frame has 1.0, one that ignores the order has equal ratios.
    small = TrainingSetup(size=12, units=24, samples=320, epochs=4, rate=1.2e-2, seed=1)
    figures = learn(small, lambda sentence: None)
    assert figures["ratio"] <= 0.75
    assert figures["shuffled_ratio"] > figures["ratio"] + 0.1
