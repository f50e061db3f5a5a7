"""NumPy forward pass of an LSTM and of the network `lstm`, so that forecasts need no framework.

Equal to Keras within 1e-6, which a test checks. The gates are in the order of Keras: input, forget, candidate, output.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from models.config import MEDIAN, QUANTILES
from models.errors import ArtifactError
from models.networks.row_product import row_product
from models.preprocessing.windows import Float32Array

Weights = dict[str, Float32Array]
"""Arrays of one trained network by name."""


LSTM_ARRAYS = ("kernel", "recurrent", "bias", "head_kernel", "head_bias")
"""Names of the arrays that `forward_lstm` reads."""


class LstmState(NamedTuple):
    """State of an LSTM between two sessions: `hidden` and `cell`, each `(batch, units)`."""

    hidden: Float32Array
    cell: Float32Array


def sigmoid(values: Float32Array) -> Float32Array:
    """Return the logistic function, computed with tanh so that no value overflows."""
    curve: Float32Array = np.float32(0.5) * (np.tanh(np.float32(0.5) * values) + np.float32(1.0))
    return curve


def lstm_step(
    weights: Mapping[str, Float32Array],
    inputs: Float32Array,
    state: LstmState,
    gate_activation: Callable[[Float32Array], Float32Array] = sigmoid,
) -> LstmState:
    """Return the state of an LSTM after one more session.

    Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.

    Args:
        weights: `kernel (features, 4 units)`, `recurrent (units, 4 units)`, `bias (4 units,)`.
        inputs: `(batch, features)`.
        state: State after the previous session.
        gate_activation: Activation of the input, forget and output gate.

    Returns:
        The state after this session; its `hidden` is the output.
    """
    mixed = row_product(inputs, weights["kernel"]) + row_product(state.hidden, weights["recurrent"]) + weights["bias"]
    input_gate, forget_gate, candidate, output_gate = np.split(mixed, 4, axis=1)
    remembered = gate_activation(forget_gate) * state.cell
    cell: Float32Array = remembered + gate_activation(input_gate) * np.tanh(candidate)
    hidden: Float32Array = gate_activation(output_gate) * np.tanh(cell)
    return LstmState(hidden, cell)


def zero_state(batch: int, units: int) -> LstmState:
    """Return the state before the first session, all zeros."""
    return LstmState(np.zeros((batch, units), np.float32), np.zeros((batch, units), np.float32))


def spread_quantiles(raw: Float32Array) -> Float32Array:
    """Return ascending quantiles from raw numbers of the head; the NumPy twin of `head.spread`.

    Args:
        raw: `(batch, horizon, 7)`; position `MEDIAN` is the median, the others are widths before softplus.

    Returns:
        `(batch, horizon, 7)`, ascending along the last axis.
    """
    widths: Float32Array = np.logaddexp(np.float32(0.0), raw)
    quantiles = np.empty_like(raw)
    quantiles[..., MEDIAN] = raw[..., MEDIAN]
    for level in range(MEDIAN - 1, -1, -1):
        quantiles[..., level] = quantiles[..., level + 1] - widths[..., level]
    for level in range(MEDIAN + 1, len(QUANTILES)):
        quantiles[..., level] = quantiles[..., level - 1] + widths[..., level]
    return quantiles


def run_lstm(
    weights: Mapping[str, Float32Array],
    inputs: Float32Array,
    state: LstmState,
    gate_activation: Callable[[Float32Array], Float32Array] = sigmoid,
) -> tuple[Float32Array, LstmState]:
    """Return the outputs and the last state of an LSTM over several sessions.

    Args:
        weights: As in `lstm_step`.
        inputs: `(batch, sessions, features)`, oldest session first.
        state: State before the first of them.
        gate_activation: Activation of the input, forget and output gate.

    Returns:
        The outputs `(batch, sessions, units)`, oldest first, and the state after the last session.
    """
    outputs = np.empty((*inputs.shape[:2], state.hidden.shape[1]), np.float32)
    for session in range(inputs.shape[1]):
        state = lstm_step(weights, inputs[:, session], state, gate_activation)
        outputs[:, session] = state.hidden
    return outputs, state


def layer_arrays(weights: Mapping[str, Float32Array], layer: str) -> Weights:
    """Return the arrays of one layer without its prefix: `first_kernel` of the layer `first` becomes `kernel`."""
    prefix = f"{layer}_"
    return {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}


def check_arrays(
    network: str,
    weights: Mapping[str, Float32Array],
    names: Sequence[str],
    windows: Float32Array,
    kernel: str = "kernel",
) -> None:
    """Check that no array is absent, and that windows have the trained number of inputs.

    Args:
        network: Name of the network, for the error message.
        weights: Arrays by name.
        names: The arrays that the network reads.
        windows: `(windows, lookback, features)`.
        kernel: Name of the array whose rows are the inputs per session.

    Raises:
        ArtifactError: An array is absent, or the windows have other inputs than the network was trained on.
    """
    absent = [name for name in names if name not in weights]
    if absent:
        raise ArtifactError(f"the weights of {network} lack {', '.join(absent)}; train the artifact again")
    features = len(weights[kernel])
    if windows.shape[2] != features:
        raise ArtifactError(
            f"the network {network} was trained on {features} inputs per session, received {windows.shape[2]}; "
            "use the pipeline that is saved with its weights"
        )


def forward_lstm(weights: Mapping[str, Float32Array], windows: Float32Array, network: str = "lstm") -> Float32Array:
    """Return the quantiles of the network `lstm` for each window.

    Args:
        weights: The arrays named in `LSTM_ARRAYS`.
        windows: `(windows, lookback, features)`, oldest session first.
        network: Name of the network, for the error message.

    Returns:
        `(windows, horizon, 7)` in units of `sigma * sqrt(step)`, ascending along the last axis.

    Raises:
        ArtifactError: An array is absent or does not fit the windows.
    """
    check_arrays(network, weights, LSTM_ARRAYS, windows)
    state = zero_state(len(windows), len(weights["recurrent"]))
    for session in range(windows.shape[1]):
        state = lstm_step(weights, windows[:, session], state)
    raw: Float32Array = row_product(state.hidden, weights["head_kernel"]) + weights["head_bias"]
    horizon = raw.shape[1] // len(QUANTILES)
    return spread_quantiles(raw.reshape(len(windows), horizon, len(QUANTILES)))
