"""The networks `conv3d_lstm`: a convolutional encoder of the frames, an LSTM over the frames, and a decoder.

There are three variants by name: `conv3d_lstm` (Conv3D encoder), `conv3d_lstm_variational` (the LSTM's state is a
random latent with a Kullback-Leibler term, Kingma and Welling 2014) and `conv3d_lstm_per_frame` (one Conv2D applied to
each frame separately). Frames keep their order: each is one step of the LSTM. The length of the decoder is the
horizon, whatever the number of frames. A skip connection passes the first feature maps of the newest frame to the end,
so that the decoder only adds to the newest frame. Without the layer normalisation after the encoder and after the
second LSTM, activations are so small that training long outputs a blur of the newest frame. Uses only calls of
Keras 3, none of a backend, so that the networks run on TensorFlow and on JAX.
"""

from enum import StrEnum
from typing import Any

import keras

from models.config import QUANTILES
from models.networks.head import HEAD_LAYER, recurrent_layer, spread
from models.networks.spatiotemporal.channel_order import frames_input, frames_output
from models.networks.spatiotemporal.config import SpatiotemporalSpec
from models.networks.spatiotemporal.latent import Latent

OUTPUT = "output"
"""Name of the last convolution of a network over image frames."""


class Conv3DVariant(StrEnum):
    """Variant of the network; the values are the registered names."""

    PLAIN = "conv3d_lstm"
    VARIATIONAL = "conv3d_lstm_variational"
    PER_FRAME = "conv3d_lstm_per_frame"


def build_market_conv3d_lstm(spec: SpatiotemporalSpec, variant: Conv3DVariant) -> Any:
    """Build the network from market images to quantiles of all symbols, with seeded initial weights.

    ```text
    (batch, lookback, rows, columns, channels)      frames, oldest session first
    (batch, lookback, rows, 1, columns * channels)  inputs as channels
    (batch, horizon, rows, 1, 2 * filters)          encoder, LSTM, decoder: see `future_maps`
    (batch, horizon, rows, 1, 7)                    one dense layer for all symbols and steps
    (batch, rows, horizon, 7)                       spread: quantiles that cannot cross
    ```

    Args:
        spec: Size and seed.
        variant: The variant.

    Returns:
        A `keras.Model`; its output is in units of `sigma * sqrt(step)`, ascending along the last axis.
    """
    narrow = spec.columns_as_channels
    frames = keras.Input((spec.frames, spec.rows, spec.columns, spec.channels), name="frames")
    inputs = keras.layers.Reshape((spec.frames, spec.rows, 1, narrow.channels))(frames)
    maps = future_maps(inputs, narrow, variant)
    initializer = keras.initializers.GlorotUniform(seed=spec.seed + 90)
    raw = keras.layers.Dense(len(QUANTILES), kernel_initializer=initializer, name=HEAD_LAYER)(maps)
    steps = keras.layers.Reshape((spec.horizon, spec.rows, len(QUANTILES)))(raw)
    return keras.Model(frames, spread(keras.layers.Permute((2, 1, 3))(steps)), name=variant.value)


def build_frames_conv3d_lstm(spec: SpatiotemporalSpec, variant: Conv3DVariant) -> Any:
    """Build the network from frames to the next frames, each cell between 0 and 1, with seeded initial weights.

    ```text
    (batch, frames, rows, columns, channels)       oldest first
    (batch, horizon, rows, columns, 2 * filters)   encoder, LSTM, decoder: see `future_maps`
    (batch, horizon, rows, columns, channels)      Conv3D (1, 3, 3), sigmoid
    ```

    Args:
        spec: Size, seed and layout.
        variant: The variant.

    Returns:
        A `keras.Model`; input and output frames have the layout of the spec.
    """
    inputs, frames = frames_input(spec)
    maps = future_maps(frames, spec, variant)
    kernel = (1, min(spec.rows, 3), min(spec.columns, 3))
    initializer = keras.initializers.GlorotUniform(seed=spec.seed + 90)
    output = keras.layers.Conv3D(
        spec.channels, kernel, padding="same", activation="sigmoid", kernel_initializer=initializer, name=OUTPUT
    )(maps)
    return keras.Model(inputs, frames_output(output, spec), name=f"{variant.value}_frames")


def future_maps(frames: Any, spec: SpatiotemporalSpec, variant: Conv3DVariant) -> Any:
    """Return the decoder's feature maps: encoder, LSTM over the frames, decoder.

    ```text
    (batch, frames, rows, columns, channels)
    (batch, frames, rows, columns, filters)             first convolution; the newest frame's maps are kept
    (batch, frames, rows / 2, columns / 2, 2 * filters)  once per halving, rounded up
    (batch, frames, cells * 2 * filters)                flattened and normalised frame by frame (Ba et al. 2016)
    (batch, units)                                      LSTM, last output (variational: mean and noise)
    (batch, horizon, units)                             repeated, LSTM, all outputs, normalised
    (batch, horizon, rows / 2, columns / 2, 2 * filters)  dense, the smallest maps
    (batch, horizon, rows, columns, filters)            Conv3DTranspose once per halving, cut to the maps' size
    (batch, horizon, rows, columns, 2 * filters)        concatenated with the kept maps
    ```

    Args:
        frames: Tensor of the first shape.
        spec: Size and seed.
        variant: The variant.

    Returns:
        Tensor of the last shape.
    """
    maps = _convolve(frames, spec, variant, 0)
    newest = maps[:, -1:]
    for level in range(1, len(spec.maps)):
        maps = _convolve(maps, spec, variant, level)
    flat = keras.layers.LayerNormalization(name="encoder_norm")(keras.layers.Reshape((spec.frames, -1))(maps))
    state = recurrent_layer("encoder_lstm", spec.units, spec.seed + 30)(flat)
    if variant is Conv3DVariant.VARIATIONAL:
        state = Latent(spec.units, spec.seed + 40, name="latent")(state)
    steps = keras.layers.RepeatVector(spec.horizon)(state)
    steps = recurrent_layer("decoder_lstm", spec.units, spec.seed + 50, return_sequences=True)(steps)
    steps = keras.layers.LayerNormalization(name="decoder_norm")(steps)
    return keras.ops.concatenate([_decode(steps, spec), keras.ops.repeat(newest, spec.horizon, axis=1)], axis=-1)


def filters_at(spec: SpatiotemporalSpec, level: int) -> int:
    """Return the number of filters of the encoder's maps after `level` halvings."""
    return spec.filters if level == 0 else 2 * spec.filters


def _convolve(maps: Any, spec: SpatiotemporalSpec, variant: Conv3DVariant, level: int) -> Any:
    """Return the maps after the encoder's convolution number `level`."""
    rows, columns = spec.maps[max(level - 1, 0)]
    kernel = (min(rows, 3), min(columns, 3))
    strides = (1, 1) if level == 0 else spec.halvings[level - 1]
    filters, name = filters_at(spec, level), f"encoder_{level}"
    initializer = keras.initializers.GlorotUniform(seed=spec.seed + level)
    if variant is Conv3DVariant.PER_FRAME:
        convolution = keras.layers.Conv2D(
            filters, kernel, strides, padding="same", activation="silu", kernel_initializer=initializer
        )
        return keras.layers.TimeDistributed(convolution, name=name)(maps)
    return keras.layers.Conv3D(
        filters,
        (min(spec.frames, 3), *kernel),
        (1, *strides),
        padding="same",
        activation="silu",
        kernel_initializer=initializer,
        name=name,
    )(maps)


def _decode(steps: Any, spec: SpatiotemporalSpec) -> Any:
    """Return maps `(batch, horizon, rows, columns, filters)` of steps `(batch, horizon, units)`."""
    levels = len(spec.halvings)
    (rows, columns), filters = spec.maps[-1], filters_at(spec, levels)
    initializer = keras.initializers.GlorotUniform(seed=spec.seed + 60)
    dense = keras.layers.Dense(
        rows * columns * filters, activation="silu", kernel_initializer=initializer, name="decoder_dense"
    )
    maps = keras.layers.Reshape((spec.horizon, rows, columns, filters))(dense(steps))
    for level in range(levels - 1, -1, -1):
        down, across = spec.halvings[level]
        rows, columns = spec.maps[level]
        upsampled = keras.layers.Conv3DTranspose(
            spec.filters,
            (1, 2 * down if down > 1 else 1, 2 * across if across > 1 else 1),
            (1, down, across),
            padding="same",
            activation="silu",
            kernel_initializer=keras.initializers.GlorotUniform(seed=spec.seed + 70 + level),
            name=f"decoder_{level}",
        )(maps)
        maps = upsampled[:, :, :rows, :columns]
    return maps
