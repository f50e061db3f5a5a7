"""NumPy forward passes: the result of a row has the same bits alone and at any position in a batch of any size."""

from collections.abc import Callable

import numpy as np
import pytest

from models.networks import WINDOW_NETWORKS
from models.networks.config import NetworkSpec
from models.networks.row_product import row_product
from models.networks.spatiotemporal.config import SpatiotemporalSpec
from models.networks.spatiotemporal.registry import SPATIOTEMPORAL_NETWORKS, spatiotemporal_weights
from models.networks.stateful_lstm_numpy import CarriedLstm

Forward = Callable[[np.ndarray], np.ndarray]

LOOKBACK, FEATURES, UNITS, HORIZON = 3, 15, 48, 3
ROWS = np.random.default_rng(2).normal(size=(600, LOOKBACK, FEATURES)).astype(np.float32)
# Every remainder of a kernel that processes 2, 4, 6, 8, 16 or 48 rows together, and the sizes of real panels.
SIZES = (*range(1, 50), 51, 63, 64, 65, 100, 127, 128, 129, 255, 256, 257, 383, 500, 511, 512, 599, 600)
DATES = np.random.default_rng(4).normal(size=(24, 4, 9, 5, 2)).astype(np.float32)


def drawn(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return random arrays of the same shapes."""
    draw = np.random.default_rng(7)
    return {name: draw.normal(scale=0.3, size=array.shape).astype(np.float32) for name, array in arrays.items()}


def assert_independent(forward: Forward, rows: np.ndarray, sizes: tuple[int, ...]) -> None:
    """Assert that each row alone equals itself in the first, last and middle batch of each size, bit for bit."""
    alone = np.concatenate([forward(rows[row : row + 1]) for row in range(len(rows))])
    for size in sizes:
        last = len(rows) - size
        for start in {0, last // 2, last}:
            batch = forward(rows[start : start + size])
            np.testing.assert_array_equal(batch, alone[start : start + size], err_msg=f"{size} rows from {start}")


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 7), (15, 192), (48, 192), (48, 21), (75, 21), (300, 21)])
def test_a_row_product_is_independent_of_the_batch(inputs: int, outputs: int) -> None:
    draw = np.random.default_rng(inputs)
    rows = draw.normal(size=(600, inputs)).astype(np.float32)
    kernel = draw.normal(size=(inputs, outputs)).astype(np.float32)
    assert_independent(lambda given: row_product(given, kernel), rows, tuple(range(1, 601)))


def test_a_row_product_is_independent_of_the_memory_layout() -> None:
    draw = np.random.default_rng(3)
    rows, kernel = draw.normal(size=(40, 75)).astype(np.float32), draw.normal(size=(75, 21)).astype(np.float32)
    expected = row_product(rows, kernel)
    np.testing.assert_array_equal(row_product(np.asfortranarray(rows), np.asfortranarray(kernel)), expected)
    np.testing.assert_array_equal(row_product(np.repeat(rows, 2, axis=0)[::2], kernel), expected)
    np.testing.assert_array_equal(row_product(rows.reshape(5, 8, 75), kernel).reshape(40, 21), expected)


def test_literal_row_product() -> None:
    rows = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    kernel = np.array([[1, 10, 100], [2, 20, 200]], np.float32)
    np.testing.assert_array_equal(row_product(rows, kernel), [[5, 50, 500], [11, 110, 1100], [17, 170, 1700]])
    assert row_product(rows[:0], kernel).shape == (0, 3)
    with pytest.raises(ValueError, match="mismatch"):
        row_product(rows, kernel.T)


@pytest.mark.parametrize("name", WINDOW_NETWORKS)
def test_a_window_is_independent_of_the_batch(name: str) -> None:
    network = WINDOW_NETWORKS[name]
    weights = drawn(network.weights(network.build(NetworkSpec(LOOKBACK, FEATURES, UNITS, HORIZON))))
    assert_independent(lambda rows: network.forward(weights, rows), ROWS, SIZES)


@pytest.mark.parametrize("name", SPATIOTEMPORAL_NETWORKS)
def test_a_date_is_independent_of_the_batch(name: str) -> None:
    network, spec = SPATIOTEMPORAL_NETWORKS[name], SpatiotemporalSpec(4, 9, 5, 2, 24, HORIZON)
    weights = drawn(spatiotemporal_weights(network.build(spec)))
    assert_independent(lambda dates: network.forward(spec, weights, dates), DATES, tuple(range(1, 25)))


def test_a_stored_state_is_independent_of_the_batch_and_of_the_calls() -> None:
    network = WINDOW_NETWORKS["stateful_lstm"]
    weights = drawn(network.weights(network.build(NetworkSpec(LOOKBACK, FEATURES, UNITS, HORIZON))))
    together = CarriedLstm(weights, 600).feed(ROWS)
    for row in range(0, 600, 37):
        alone = CarriedLstm(weights, 1)
        fed = [alone.feed(ROWS[row : row + 1, session : session + 1]) for session in range(LOOKBACK)]
        np.testing.assert_array_equal(np.concatenate(fed, axis=1)[0], together[row])
