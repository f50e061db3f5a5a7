"""The network `stateful_lstm`: several calls equal one call; batches of another size are errors."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ArtifactError, BatchError
from models.networks.config import NetworkSpec
from models.networks.lstm import build_lstm
from models.networks.lstm_numpy import Weights
from models.networks.stateful_lstm import GRADIENT_SESSIONS, StatefulLstm, build_stateful_lstm, stateful_lstm_weights
from models.networks.stateful_lstm_numpy import CarriedLstm, forward_stateful_lstm
from tests.support.float32 import assert_equal_in_float32

BATCH, SESSIONS, FEATURES, UNITS, HORIZON = 3, 12, 4, 6, 3
SERIES = np.random.default_rng(8).normal(size=(BATCH, SESSIONS, FEATURES)).astype(np.float32)

# Expected medians: one unit, one input, kernels 0.5, forget bias 1, head 0.5; inputs 1, 2, -1.
LITERAL_ARRAYS = {
    "kernel": np.full((1, 4), 0.5, np.float32),
    "recurrent": np.full((1, 4), 0.5, np.float32),
    "bias": np.array([0, 1, 0, 0], np.float32),
    "head_kernel": np.full((1, 7), 0.5, np.float32),
    "head_bias": np.zeros(7, np.float32),
}
LITERAL_INPUTS = np.array([[[1.0], [2.0], [-1.0]]], np.float32)
LITERAL_MEDIANS = [0.0871349, 0.2586124, 0.0973555]


def random_weights(seed: int = 3) -> Weights:
    draw = np.random.default_rng(seed)
    shapes = {
        "kernel": (FEATURES, 4 * UNITS),
        "recurrent": (UNITS, 4 * UNITS),
        "bias": (4 * UNITS,),
        "head_kernel": (UNITS, 7 * HORIZON),
        "head_bias": (7 * HORIZON,),
    }
    return {name: draw.normal(scale=0.5, size=shape).astype(np.float32) for name, shape in shapes.items()}


WEIGHTS = random_weights()


def stateless(until: int) -> np.ndarray:
    """Return the forecasts of the stateless network over the sessions before `until`."""
    model = build_lstm(NetworkSpec(until, FEATURES, UNITS, HORIZON), unroll=False)
    model.set_weights(list(WEIGHTS.values()))
    return np.asarray(model(SERIES[:, :until]))


def test_literal_medians_one_session_at_a_time() -> None:
    carried, keras_twin = CarriedLstm(LITERAL_ARRAYS, 1), StatefulLstm(LITERAL_ARRAYS, 1, 1)
    for session, median in enumerate(LITERAL_MEDIANS):
        fed = LITERAL_INPUTS[:, session : session + 1]
        assert carried.feed(fed)[0, 0, 0, 3] == pytest.approx(median, abs=1e-6)
        assert keras_twin.feed(fed)[0, 0, 0, 3] == pytest.approx(median, abs=1e-6)


@pytest.mark.parametrize("at_a_time", [1, 2, 3, 12])
def test_several_calls_equal_the_stateless_network_over_the_whole_sequence(at_a_time: int) -> None:
    carried, keras_twin = CarriedLstm(WEIGHTS, BATCH), StatefulLstm(WEIGHTS, BATCH, at_a_time)
    parts = [SERIES[:, start : start + at_a_time] for start in range(0, SESSIONS, at_a_time)]
    in_numpy = np.concatenate([carried.feed(part) for part in parts], axis=1)
    in_keras = np.concatenate([keras_twin.feed(part) for part in parts], axis=1)
    assert_equal_in_float32(in_numpy, in_keras, WEIGHTS.values(), SESSIONS + 1)
    for until in (1, 5, SESSIONS):
        assert_equal_in_float32(in_numpy[:, until - 1], stateless(until), WEIGHTS.values(), until + 1)


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(1, SESSIONS - 1), unique=True, max_size=6), seed=st.integers(0, 2**32 - 1))
def test_the_last_forecast_equals_that_of_the_window_for_any_division_into_calls(cuts: list[int], seed: int) -> None:
    series = np.random.default_rng(seed).normal(size=SERIES.shape).astype(np.float32)
    carried = CarriedLstm(WEIGHTS, BATCH)
    answers = [carried.feed(part) for part in np.split(series, sorted(cuts), axis=1)]
    np.testing.assert_array_equal(answers[-1][:, -1], forward_stateful_lstm(WEIGHTS, series))


@pytest.mark.parametrize("lookback", [1, GRADIENT_SESSIONS, GRADIENT_SESSIONS + 1, 40])
def test_the_trained_form_equals_the_stateless_network_with_and_without_warm_up(lookback: int) -> None:
    spec = NetworkSpec(lookback, FEATURES, UNITS, HORIZON, seed=4)
    trained, plain = build_stateful_lstm(spec, unroll=False), build_lstm(spec, unroll=False)
    trained.set_weights(list(WEIGHTS.values()))
    plain.set_weights(list(WEIGHTS.values()))
    series = np.random.default_rng(lookback).normal(size=(5, lookback, FEATURES)).astype(np.float32)
    assert_equal_in_float32(np.asarray(trained(series)), np.asarray(plain(series)), WEIGHTS.values(), lookback + 1)


def test_no_gradient_reaches_the_warm_up() -> None:
    import tensorflow as tf

    model = build_stateful_lstm(NetworkSpec(SESSIONS, FEATURES, UNITS, HORIZON), unroll=False)
    inputs = tf.constant(SERIES)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        answer = tf.reduce_sum(model(inputs))
    reached = np.abs(tape.gradient(answer, inputs).numpy()).max(axis=(0, 2)) > 0
    assert reached.tolist() == [False] * (SESSIONS - GRADIENT_SESSIONS) + [True] * GRADIENT_SESSIONS


def test_a_restart_resets_the_states() -> None:
    for network in (CarriedLstm(WEIGHTS, BATCH), StatefulLstm(WEIGHTS, BATCH, 2)):
        first = network.feed(SERIES[:, :2])
        assert not np.allclose(network.feed(SERIES[:, :2]), first, atol=1e-3)
        network.restart()
        np.testing.assert_array_equal(network.feed(SERIES[:, :2]), first)


@pytest.mark.parametrize("received", [1, 2, 4])
def test_a_batch_of_another_size_is_an_error_with_both_sizes(received: int) -> None:
    partial = np.zeros((received, 2, FEATURES), np.float32)
    for network in (CarriedLstm(WEIGHTS, BATCH), StatefulLstm(WEIGHTS, BATCH, 2)):
        before = network.feed(SERIES[:, :2])
        network.restart()
        with pytest.raises(BatchError, match=f"states of 3 symbols, received a batch of {received};"):
            network.feed(partial)
        # The states are unchanged, those of the restart.
        np.testing.assert_array_equal(network.feed(SERIES[:, :2]), before)


def test_ten_symbols_do_not_divide_into_batches_of_four() -> None:
    symbols = np.zeros((10, 2, FEATURES), np.float32)
    carried = StatefulLstm(WEIGHTS, 4, 2)
    batches = [symbols[start : start + 4] for start in range(0, 10, 4)]
    assert carried.feed(batches[0]).shape == (4, 2, HORIZON, 7)
    assert carried.feed(batches[1]).shape == (4, 2, HORIZON, 7)
    with pytest.raises(BatchError, match="states of 4 symbols, received a batch of 2"):
        carried.feed(batches[2])


def test_sessions_with_a_wrong_number_of_inputs_are_an_error() -> None:
    for network in (CarriedLstm(WEIGHTS, BATCH), StatefulLstm(WEIGHTS, BATCH, 1)):
        with pytest.raises(ArtifactError, match="4 inputs per session, received 5"):
            network.feed(np.zeros((BATCH, 1, 5), np.float32))


def test_each_row_has_its_own_state() -> None:
    together = CarriedLstm(WEIGHTS, BATCH).feed(SERIES)
    for row in range(BATCH):
        alone = CarriedLstm(WEIGHTS, 1).feed(SERIES[row : row + 1])
        np.testing.assert_array_equal(alone[0], together[row])


def test_trained_arrays_give_the_same_forecasts_in_the_stateful_form() -> None:
    model = build_stateful_lstm(NetworkSpec(SESSIONS, FEATURES, UNITS, HORIZON, seed=6))
    weights = stateful_lstm_weights(model)
    carried = StatefulLstm(weights, BATCH, SESSIONS).feed(SERIES)
    assert_equal_in_float32(carried[:, -1], np.asarray(model(SERIES)), weights.values(), SESSIONS + 1)
    assert isinstance(model, keras.Model)
