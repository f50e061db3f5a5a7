"""NumPy forward pass of the networks `conv3d_lstm`, the twin of `conv3d_lstm.build_market_conv3d_lstm`.

The three variants differ only in their arrays: a per-frame encoder has kernels without a time axis, a
variational one has the mean of a latent.
"""

from collections.abc import Mapping

import numpy as np

from models.networks.lstm_numpy import sigmoid, spread_quantiles
from models.networks.row_product import row_product
from models.networks.spatiotemporal.config import SpatiotemporalSpec
from models.networks.spatiotemporal.convolution_numpy import (
    ConvGeometry,
    arrays_of,
    convolve,
    convolve_transposed,
    lstm,
)
from models.preprocessing.windows import Float32Array

NORM_EPSILON = 1e-3
"""Constant added to the variance in a layer normalisation, the default of Keras."""


def forward_conv3d_lstm(
    spec: SpatiotemporalSpec, weights: Mapping[str, Float32Array], frames: Float32Array
) -> Float32Array:
    """Return the quantiles of all symbols from market images; a variational latent is its mean.

    Args:
        spec: Size that the network was built with.
        weights: Arrays of the encoder's and decoder's layers and of `head`.
        frames: `(batch, lookback, rows, columns, channels)`, oldest session first.

    Returns:
        `(batch, rows, horizon, 7)` in units of `sigma * sqrt(step)`, ascending along the last axis.

    Raises:
        KeyError: An array is absent.
        ValueError: An array does not fit the frames.
    """
    narrow = spec.columns_as_channels
    maps = frames.reshape(len(frames), spec.frames, spec.rows, 1, narrow.channels)
    maps = _encode(maps, weights, 0, (1, 1))
    newest = maps[:, -1:]
    for level, strides in enumerate(narrow.halvings, start=1):
        maps = _encode(maps, weights, level, strides)
    flat = _normalise(maps.reshape(len(frames), spec.frames, -1), *arrays_of(weights, "encoder_norm", 2))
    state = lstm(arrays_of(weights, "encoder_lstm", 3), flat)[:, -1]
    if "latent.0" in weights:
        kernel, bias = arrays_of(weights, "latent", 2)
        state = row_product(state, kernel) + bias
    steps = lstm(arrays_of(weights, "decoder_lstm", 3), np.repeat(state[:, None], spec.horizon, axis=1))
    decoded = _decode(_normalise(steps, *arrays_of(weights, "decoder_norm", 2)), narrow, weights)
    kept = np.repeat(newest, spec.horizon, axis=1)
    kernel, bias = arrays_of(weights, "head", 2)
    raw: Float32Array = row_product(np.concatenate([decoded, kept], axis=-1), kernel) + bias
    return spread_quantiles(raw[:, :, :, 0].transpose(0, 2, 1, 3))


def _encode(
    maps: Float32Array, weights: Mapping[str, Float32Array], level: int, strides: tuple[int, int]
) -> Float32Array:
    """Return the maps after the encoder's convolution number `level`, over frames and space or frame by frame."""
    kernel, bias = arrays_of(weights, f"encoder_{level}", 2)
    if kernel.ndim == 4:
        kernel = kernel[None]
    return _silu(convolve(maps, kernel, ConvGeometry((1, *strides))) + bias)


def _decode(steps: Float32Array, spec: SpatiotemporalSpec, weights: Mapping[str, Float32Array]) -> Float32Array:
    """Return maps `(batch, horizon, rows, columns, filters)` of steps `(batch, horizon, units)`."""
    kernel, bias = arrays_of(weights, "decoder_dense", 2)
    rows, columns = spec.maps[-1]
    maps = _silu(row_product(steps, kernel) + bias).reshape(len(steps), spec.horizon, rows, columns, -1)
    for level in range(len(spec.halvings) - 1, -1, -1):
        kernel, bias = arrays_of(weights, f"decoder_{level}", 2)
        rows, columns = spec.maps[level]
        maps = _silu(convolve_transposed(maps, kernel, (1, *spec.halvings[level])) + bias)[:, :, :rows, :columns]
    return maps


def _normalise(values: Float32Array, gain: Float32Array, offset: Float32Array) -> Float32Array:
    """Return the layer normalisation over the last axis (Ba et al. 2016)."""
    centred = values - values.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + np.float32(NORM_EPSILON))
    normal: Float32Array = centred / deviation * gain + offset
    return normal


def _silu(values: Float32Array) -> Float32Array:
    """Return `x * sigmoid(x)` (Hendrycks and Gimpel 2016)."""
    smooth: Float32Array = values * sigmoid(values)
    return smooth
