"""LSTM layers in Keras and in NumPy: literal numbers, and the shapes of whole sequences."""

import keras
import numpy as np
import pytest

from models.networks.lstm_numpy import LstmState, run_lstm, zero_state

SEQUENCE = np.array([[0, 0], [0, 1], [0, 0], [1, 1]], np.float32)
OUTPUTS = [0.0, 0.16222608, 0.12174768, 0.46444273]
SHIFTS = np.stack([np.roll(SEQUENCE, -shift, axis=0) for shift in range(4)])
SHIFTED_OUTPUTS = [
    [0.0, 0.162226, 0.121748, 0.464443],
    [0.162226, 0.121748, 0.464443, 0.332383],
    [0.0, 0.341432, 0.239082, 0.392727],
    [0.341432, 0.239082, 0.392727, 0.309013],
]
ARRAYS = {
    "kernel": np.full((2, 4), 0.5, np.float32),
    "recurrent": np.full((1, 4), 0.5, np.float32),
    "bias": np.array([0, 1, 0, 0], np.float32),
}


def keras_gate(values: object) -> object:
    return keras.ops.clip(0.2 * values + 0.5, 0.0, 1.0)


def numpy_gate(values: np.ndarray) -> np.ndarray:
    return np.clip(np.float32(0.2) * values + np.float32(0.5), 0, 1)


def keras_outputs(batch: np.ndarray, *, unroll: bool) -> np.ndarray:
    layer = keras.layers.LSTM(1, recurrent_activation=keras_gate, return_sequences=True, unroll=unroll)
    layer.build(batch.shape)
    layer.set_weights(list(ARRAYS.values()))
    return np.asarray(layer(batch))[:, :, 0]


def numpy_outputs(batch: np.ndarray, state: LstmState | None = None) -> tuple[np.ndarray, LstmState]:
    outputs, state = run_lstm(ARRAYS, batch, state or zero_state(len(batch), 1), numpy_gate)
    return outputs[:, :, 0], state


@pytest.mark.parametrize("unroll", [True, False])
def test_keras_gives_the_literal_outputs_unrolled_and_in_a_loop(unroll: bool) -> None:
    np.testing.assert_allclose(keras_outputs(SEQUENCE[None], unroll=unroll)[0], OUTPUTS, atol=1e-6)
    np.testing.assert_allclose(keras_outputs(SHIFTS, unroll=unroll), SHIFTED_OUTPUTS, atol=1e-6)


@pytest.mark.parametrize("row", range(4))
def test_each_sample_alone_equals_itself_in_the_batch(row: int) -> None:
    alone = SHIFTS[row : row + 1]
    np.testing.assert_allclose(keras_outputs(alone, unroll=False)[0], SHIFTED_OUTPUTS[row], atol=1e-6)
    np.testing.assert_allclose(numpy_outputs(alone)[0][0], SHIFTED_OUTPUTS[row], atol=1e-6)


def test_numpy_gives_the_literal_outputs() -> None:
    np.testing.assert_allclose(numpy_outputs(SEQUENCE[None])[0][0], OUTPUTS, atol=1e-6)
    np.testing.assert_allclose(numpy_outputs(SHIFTS)[0], SHIFTED_OUTPUTS, atol=1e-6)


@pytest.mark.parametrize("at_a_time", [1, 2, 4])
def test_numpy_in_several_calls_with_the_state_gives_the_literal_outputs(at_a_time: int) -> None:
    state, fed = zero_state(1, 1), []
    for start in range(0, 4, at_a_time):
        outputs, state = numpy_outputs(SEQUENCE[None, start : start + at_a_time], state)
        fed.append(outputs[0])
    np.testing.assert_allclose(np.concatenate(fed), OUTPUTS, atol=1e-6)


def test_without_the_state_the_second_half_differs() -> None:
    second, _ = numpy_outputs(SEQUENCE[None, 2:])
    assert np.abs(second[0] - OUTPUTS[2:]).max() > 0.05


@pytest.mark.parametrize(("return_sequences", "expected"), [(True, (1, 480, 16)), (False, (1, 16))])
def test_480_sessions_of_16_features_through_per_step_dense(return_sequences: bool, expected: tuple[int, ...]) -> None:
    window = keras.Input((480, 16))
    hidden = keras.layers.LSTM(16, return_sequences=True)(window)
    hidden = keras.layers.LSTM(16, return_sequences=return_sequences)(hidden)
    model = keras.Model(window, keras.layers.Dense(16)(hidden))
    assert model.output_shape == (None, *expected[1:])
    assert np.asarray(model(np.zeros((1, 480, 16), np.float32))).shape == expected
