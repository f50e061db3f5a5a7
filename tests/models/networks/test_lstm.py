"""The network `lstm` in Keras: literal numbers, shapes, unrolled and in a loop, and its NumPy twin."""

import keras
import numpy as np
import pytest

from models.errors import ArtifactError, UnknownNetwork
from models.networks import get_network
from models.networks.config import NetworkSpec
from models.networks.lstm import build_lstm, lstm_weights
from models.networks.lstm_numpy import forward_lstm
from tests.support.float32 import assert_equal_in_float32

SEQUENCE = np.array([[0, 0], [0, 1], [0, 0], [1, 1]], np.float32)
OUTPUTS = [0.0, 0.16222608, 0.12174768, 0.46444273]
SHIFTED_OUTPUTS = [
    [0.0, 0.162226, 0.121748, 0.464443],
    [0.162226, 0.121748, 0.464443, 0.332383],
    [0.0, 0.341432, 0.239082, 0.392727],
    [0.341432, 0.239082, 0.392727, 0.309013],
]


def hard_gate(values: object) -> object:
    return keras.ops.clip(0.2 * values + 0.5, 0.0, 1.0)


def literal_layer(batch: int, steps: int | None, *, stateful: bool) -> keras.Model:
    window = keras.Input(batch_shape=(batch, steps, 2))
    layer = keras.layers.LSTM(1, recurrent_activation=hard_gate, return_sequences=True, stateful=stateful)
    model = keras.Model(window, layer(window))
    layer.set_weights(
        [np.full((2, 4), 0.5, np.float32), np.full((1, 4), 0.5, np.float32), np.array([0, 1, 0, 0], np.float32)]
    )
    return model


@pytest.mark.parametrize("at_a_time", [1, 2, 4])
def test_literal_outputs_with_any_number_of_steps_per_call(at_a_time: int) -> None:
    model = literal_layer(1, at_a_time, stateful=True)
    fed = [np.asarray(model(SEQUENCE[None, start : start + at_a_time]))[0, :, 0] for start in range(0, 4, at_a_time)]
    np.testing.assert_allclose(np.concatenate(fed), OUTPUTS, atol=1e-6)


def test_literal_outputs_of_a_batch_of_cyclic_shifts() -> None:
    shifts = np.stack([np.roll(SEQUENCE, -shift, axis=0) for shift in range(4)])
    outputs = np.asarray(literal_layer(4, 4, stateful=False)(shifts))[:, :, 0]
    np.testing.assert_allclose(outputs, SHIFTED_OUTPUTS, atol=1e-6)


SPEC = NetworkSpec(lookback=5, features=4, units=6, horizon=3, seed=11)
WINDOWS = np.random.default_rng(0).normal(size=(40, 5, 4)).astype(np.float32)


@pytest.mark.parametrize(("horizon", "lookback"), [(1, 1), (3, 5), (3, 2), (1, 8)])
def test_output_is_windows_by_horizon_by_seven(horizon: int, lookback: int) -> None:
    model = build_lstm(NetworkSpec(lookback, features=4, units=3, horizon=horizon))
    windows = np.zeros((9, lookback, 4), np.float32)
    assert np.asarray(model(windows)).shape == (9, horizon, 7)


def test_initial_weights_give_quantiles_near_a_normal_distribution() -> None:
    head = np.asarray(build_lstm(SPEC)(np.zeros((1, 5, 4), np.float32)))[0, 0]
    # A head of zeros adds softplus(0) = ln 2 outwards from a median of 0.
    np.testing.assert_allclose(head, np.log(2.0) * np.arange(-3, 4), atol=1e-6)


def test_an_unrolled_network_equals_a_loop() -> None:
    unrolled, looped = build_lstm(SPEC), build_lstm(SPEC, unroll=False)
    expected = np.asarray(looped(WINDOWS))
    assert_equal_in_float32(np.asarray(unrolled(WINDOWS)), expected, looped.get_weights(), depth=6)


def test_numpy_forward_equals_keras() -> None:
    model = build_lstm(SPEC)
    draw = np.random.default_rng(5)
    model.set_weights([draw.normal(scale=0.5, size=w.shape).astype(np.float32) for w in model.get_weights()])
    forward = forward_lstm(lstm_weights(model), WINDOWS)
    assert forward.dtype == np.float32
    assert_equal_in_float32(forward, np.asarray(model(WINDOWS)), model.get_weights(), depth=6)


def test_initial_weights_depend_only_on_the_seed() -> None:
    def kernel(seed: int) -> np.ndarray:
        return lstm_weights(build_lstm(NetworkSpec(5, 4, 6, 3, seed)))["kernel"]

    np.testing.assert_array_equal(kernel(1), kernel(1))
    assert not np.allclose(kernel(1), kernel(2))


def test_a_missing_array_is_an_error_with_its_name() -> None:
    weights = lstm_weights(build_lstm(SPEC))
    del weights["recurrent"]
    with pytest.raises(ArtifactError, match="lack recurrent"):
        forward_lstm(weights, WINDOWS)


def test_a_wrong_number_of_inputs_is_an_error() -> None:
    with pytest.raises(ArtifactError, match="4 inputs per session, received 5"):
        forward_lstm(lstm_weights(build_lstm(SPEC)), np.zeros((1, 5, 5), np.float32))


def test_an_unknown_name_lists_the_registered_ones() -> None:
    with pytest.raises(UnknownNetwork, match=r"no network named 'gru'.*lstm"):
        get_network("gru")
