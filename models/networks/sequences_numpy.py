"""NumPy forward pass of the networks with two LSTMs: `stacked_lstm` and `encoder_decoder`.

Equal to Keras within 1e-6, which a test checks. The arrays of each LSTM have its layer's name as prefix, for example
`first_kernel`.
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
    """Return the quantiles of the network `stacked_lstm` for each window.

    Args:
        weights: The arrays named in `STACKED_ARRAYS`, shapes as in `stacked_lstm.stacked_lstm_weights`.
        windows: `(windows, lookback, features)`, oldest session first.

    Returns:
        `(windows, horizon, 7)` in units of `sigma * sqrt(step)`, ascending along the last axis.

    Raises:
        ArtifactError: An array is absent or does not fit the windows.
        ValueError: The lookback of the windows differs from that of the training.
    """
    check_arrays("stacked_lstm", weights, STACKED_ARRAYS, windows, "first_kernel")
    sessions = _outputs(weights, "second", _outputs(weights, "first", windows))
    raw: Float32Array = row_product(sessions, weights["head_kernel"]) + weights["head_bias"]
    steps: Float32Array = row_product(np.swapaxes(raw, 1, 2), weights["steps_kernel"]) + weights["steps_bias"]
    return spread_quantiles(np.swapaxes(steps, 1, 2))


def forward_encoder_decoder(weights: Mapping[str, Float32Array], windows: Float32Array) -> Float32Array:
    """Return the quantiles of the network `encoder_decoder` for each window.

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
    """Return the outputs `(windows, sessions, units)` of the LSTM `layer`, from a state of zeros."""
    arrays: Weights = layer_arrays(weights, layer)
    return run_lstm(arrays, inputs, zero_state(len(inputs), len(arrays["recurrent"])))[0]
