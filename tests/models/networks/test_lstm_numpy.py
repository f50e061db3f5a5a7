"""The NumPy forward pass: literal numbers, order of the quantiles, no framework."""

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.networks.lstm_numpy import LstmState, forward_lstm, lstm_step, sigmoid, spread_quantiles, zero_state

SEQUENCE = np.array([[0, 0], [0, 1], [0, 0], [1, 1]], np.float32)
HALVES = {
    "kernel": np.full((2, 4), 0.5, np.float32),
    "recurrent": np.full((1, 4), 0.5, np.float32),
    "bias": np.array([0, 1, 0, 0], np.float32),
}


def hard_gate(values: np.ndarray) -> np.ndarray:
    return np.clip(np.float32(0.2) * values + np.float32(0.5), 0, 1)


def run(batch: np.ndarray, state: LstmState) -> tuple[np.ndarray, LstmState]:
    """Return the outputs `(batch, sessions)` and the state after them."""
    outputs = []
    for session in range(batch.shape[1]):
        state = lstm_step(HALVES, batch[:, session], state, hard_gate)
        outputs.append(state.hidden[:, 0])
    return np.stack(outputs, axis=1), state


def test_literal_outputs_with_two_steps_per_call() -> None:
    first, state = run(SEQUENCE[None, :2], zero_state(1, 1))
    second, _ = run(SEQUENCE[None, 2:], state)
    np.testing.assert_allclose(
        np.concatenate([first[0], second[0]]), [0.0, 0.16222608, 0.12174768, 0.46444273], atol=1e-6
    )


def test_literal_outputs_of_cyclic_shifts_alone_and_in_a_batch() -> None:
    expected = [
        [0.0, 0.162226, 0.121748, 0.464443],
        [0.162226, 0.121748, 0.464443, 0.332383],
        [0.0, 0.341432, 0.239082, 0.392727],
        [0.341432, 0.239082, 0.392727, 0.309013],
    ]
    shifts = np.stack([np.roll(SEQUENCE, -shift, axis=0) for shift in range(4)])
    batched, _ = run(shifts, zero_state(4, 1))
    np.testing.assert_allclose(batched, expected, atol=1e-6)
    for row in range(4):
        alone, _ = run(shifts[row : row + 1], zero_state(1, 1))
        np.testing.assert_allclose(alone[0], expected[row], atol=1e-6)


def test_spread_adds_widths_outwards_from_the_median() -> None:
    raw = np.zeros((1, 1, 7), np.float32)
    raw[0, 0, 3] = 1.0
    np.testing.assert_allclose(
        spread_quantiles(raw)[0, 0],
        [-1.0794415, -0.3862944, 0.3068528, 1.0, 1.6931472, 2.3862944, 3.0794415],
        atol=1e-6,
    )


@given(arrays(np.float32, (3, 2, 7), elements=st.floats(-1e6, 1e6, width=32)))
def test_quantiles_never_cross(raw: np.ndarray) -> None:
    assert (np.diff(spread_quantiles(raw), axis=-1) >= 0).all()


@given(
    arrays(np.float32, (2, 3, 4), elements=st.floats(-1e3, 1e3, width=32)),
    st.integers(0, 2**32 - 1),
    st.floats(0.01, 100.0),
)
def test_quantiles_never_cross_for_any_weights_and_windows(windows: np.ndarray, seed: int, scale: float) -> None:
    draw = np.random.default_rng(seed)
    shapes = {"kernel": (4, 8), "recurrent": (2, 8), "bias": (8,), "head_kernel": (2, 21), "head_bias": (21,)}
    weights = {name: draw.normal(scale=scale, size=shape).astype(np.float32) for name, shape in shapes.items()}
    quantiles = forward_lstm(weights, windows)
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=-1) >= 0).all()


def test_sigmoid_of_extremes_does_not_overflow() -> None:
    np.testing.assert_allclose(sigmoid(np.array([-1e4, 0.0, 1e4], np.float32)), [0.0, 0.5, 1.0], atol=1e-7)


def test_inference_imports_no_framework() -> None:
    code = (
        "import sys, models.forecasting.network_forecaster, models.forecasting.artifact, models.networks;"
        "sys.exit(bool({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
