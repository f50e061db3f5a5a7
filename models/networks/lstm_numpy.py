"""The forward pass of the networks in NumPy: forecasts need no framework.

Equal to Keras to 1e-6 (a test holds it so). Gates stand in Keras' order: input, forget, candidate, output.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from models.config import QUANTILES
from models.errors import ArtifactError
from models.networks.row_product import row_product
from models.preprocessing.windows import Float32Array

Weights = dict[str, Float32Array]
"""Arrays of one trained network by name."""

MEDIAN = QUANTILES.index(0.50)
"""Position of the median among the quantiles."""

LSTM_ARRAYS = ("kernel", "recurrent", "bias", "head_kernel", "head_bias")
"""Names of the arrays that `forward_lstm` reads."""


class LstmState(NamedTuple):
    """What an LSTM carries from session to session: `hidden` and `cell`, each `(batch, units)`."""

    hidden: Float32Array
    cell: Float32Array


def sigmoid(values: Float32Array) -> Float32Array:
    """The logistic function, by way of tanh so that no value overflows."""
    curve: Float32Array = np.float32(0.5) * (np.tanh(np.float32(0.5) * values) + np.float32(1.0))
    return curve


def lstm_step(
    weights: Mapping[str, Float32Array],
    inputs: Float32Array,
    state: LstmState,
    gate: Callable[[Float32Array], Float32Array] = sigmoid,
) -> LstmState:
    """One session of an LSTM (Hochreiter and Schmidhuber 1997, forget gate of Gers et al. 2000).

    Args:
        weights: `kernel (features, 4 units)`, `recurrent (units, 4 units)`, `bias (4 units,)`.
        inputs: `(batch, features)`.
        state: The state after the session before.
        gate: Activation of the three gates.

    Returns:
        The state after this session; its `hidden` is the output.
    """
    mixed = row_product(inputs, weights["kernel"]) + row_product(state.hidden, weights["recurrent"]) + weights["bias"]
    enter, keep, candidate, leave = np.split(mixed, 4, axis=1)
    cell: Float32Array = gate(keep) * state.cell + gate(enter) * np.tanh(candidate)
    hidden: Float32Array = gate(leave) * np.tanh(cell)
    return LstmState(hidden, cell)


def zero_state(batch: int, units: int) -> LstmState:
    """The state before the first session."""
    return LstmState(np.zeros((batch, units), np.float32), np.zeros((batch, units), np.float32))


def spread_quantiles(raw: Float32Array) -> Float32Array:
    """Raw numbers of the head to ascending quantiles; the NumPy twin of `head.spread`.

    Args:
        raw: `(batch, horizon, 7)`; position 3 is the median, the others widths before softplus.

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
    gate: Callable[[Float32Array], Float32Array] = sigmoid,
) -> tuple[Float32Array, LstmState]:
    """An LSTM over several sessions, as `return_sequences` and `return_state` give it together.

    Args:
        weights: As in `lstm_step`.
        inputs: `(batch, sessions, features)`, oldest session first.
        state: The state before the first of them.
        gate: Activation of the three gates.

    Returns:
        The outputs `(batch, sessions, units)`, oldest first, and the state after the last session.
    """
    outputs = np.empty((*inputs.shape[:2], state.hidden.shape[1]), np.float32)
    for session in range(inputs.shape[1]):
        state = lstm_step(weights, inputs[:, session], state, gate)
        outputs[:, session] = state.hidden
    return outputs, state


def layer_arrays(weights: Mapping[str, Float32Array], layer: str) -> Weights:
    """One layer's arrays under their plain names: `first_kernel` of the layer `first` becomes `kernel`."""
    start = f"{layer}_"
    return {name.removeprefix(start): array for name, array in weights.items() if name.startswith(start)}


def check_arrays(
    network: str,
    weights: Mapping[str, Float32Array],
    names: Sequence[str],
    windows: Float32Array,
    kernel: str = "kernel",
) -> None:
    """Refuse weights that lack an array, and windows of another number of inputs.

    Args:
        network: Name of the network, for the sentence.
        weights: Arrays by name.
        names: The arrays that the network reads.
        windows: `(windows, lookback, features)`.
        kernel: Name of the array whose rows are the inputs per session.

    Raises:
        ArtifactError: An array is absent, or the windows have other inputs than the network was trained on.
    """
    absent = [name for name in names if name not in weights]
    if absent:
        raise ArtifactError(f"the {network}'s weights lack {', '.join(absent)}; train the artifact again")
    features = len(weights[kernel])
    if windows.shape[2] != features:
        raise ArtifactError(
            f"the {network} was trained on {features} inputs per session, received {windows.shape[2]}; "
            "use the pipeline saved beside its weights"
        )


def forward_lstm(weights: Mapping[str, Float32Array], windows: Float32Array, network: str = "lstm") -> Float32Array:
    """The network `lstm`, window by window.

    Args:
        weights: The arrays named in `LSTM_ARRAYS`.
        windows: `(windows, lookback, features)`, oldest session first.
        network: Name of the network, for the sentence of an error.

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
