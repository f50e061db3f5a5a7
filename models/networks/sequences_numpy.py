"""The NumPy forward pass of the networks with two LSTMs: `stacked_lstm` and `encoder_decoder`.

Equal to Keras to 1e-6 (a test holds it so). Each LSTM's arrays stand under its layer's name, `first_kernel` say.
"""

from collections.abc import Mapping

import numpy as np

from models.networks.lstm_numpy import (
    Weights,
    check_arrays,
    layer_arrays,
    run_lstm,
    spread_quantiles,
    zero_state,
)
from models.networks.row_product import row_product
from models.preprocessing.windows import Float32Array

STACKED_ARRAYS = (
    *("first_kernel", "first_recurrent", "first_bias"),
    *("second_kernel", "second_recurrent", "second_bias"),
    *("head_kernel", "head_bias", "steps_kernel", "steps_bias"),
)
"""Names of the arrays that `forward_stacked_lstm` reads."""

ENCODER_DECODER_ARRAYS = (
    *("encoder_kernel", "encoder_recurrent", "encoder_bias"),
    *("decoder_kernel", "decoder_recurrent", "decoder_bias"),
    *("head_kernel", "head_bias", "steps"),
)
"""Names of the arrays that `forward_encoder_decoder` reads."""


def forward_stacked_lstm(weights: Mapping[str, Float32Array], windows: Float32Array) -> Float32Array:
    """The network `stacked_lstm`, window by window.

    Args:
        weights: The arrays named in `STACKED_ARRAYS`, shapes as in `stacked_lstm.stacked_lstm_weights`.
        windows: `(windows, lookback, features)`, oldest session first.

    Returns:
        `(windows, horizon, 7)` in units of `sigma * sqrt(step)`, ascending along the last axis.

    Raises:
        ArtifactError: An array is absent or does not fit the windows.
        ValueError: The windows have another lookback than the network was trained on.
    """
    check_arrays("stacked_lstm", weights, STACKED_ARRAYS, windows, "first_kernel")
    sessions = _outputs(weights, "second", _outputs(weights, "first", windows))
    each: Float32Array = row_product(sessions, weights["head_kernel"]) + weights["head_bias"]
    steps: Float32Array = row_product(np.swapaxes(each, 1, 2), weights["steps_kernel"]) + weights["steps_bias"]
    return spread_quantiles(np.swapaxes(steps, 1, 2))


def forward_encoder_decoder(weights: Mapping[str, Float32Array], windows: Float32Array) -> Float32Array:
    """The network `encoder_decoder`, window by window.

    Args:
        weights: The arrays named in `ENCODER_DECODER_ARRAYS`, shapes as in
            `encoder_decoder.encoder_decoder_weights`.
        windows: `(windows, lookback, features)`, oldest session first.

    Returns:
        `(windows, horizon, 7)` in units of `sigma * sqrt(step)`, ascending along the last axis.

    Raises:
        ArtifactError: An array is absent or does not fit the windows.
    """
    check_arrays("encoder_decoder", weights, ENCODER_DECODER_ARRAYS, windows, "encoder_kernel")
    code = _outputs(weights, "encoder", windows)[:, -1:]
    decoded = _outputs(weights, "decoder", np.repeat(code, len(weights["steps"]), axis=1))
    raw: Float32Array = row_product(decoded, weights["head_kernel"]) + weights["head_bias"]
    return spread_quantiles(raw)


def _outputs(weights: Mapping[str, Float32Array], layer: str, inputs: Float32Array) -> Float32Array:
    """Outputs `(windows, sessions, units)` of the LSTM of that name, from a state of zeros."""
    arrays: Weights = layer_arrays(weights, layer)
    return run_lstm(arrays, inputs, zero_state(len(inputs), len(arrays["recurrent"])))[0]
