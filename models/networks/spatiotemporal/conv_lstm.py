"""The network `conv_lstm`: an LSTM whose products are convolutions (Shi et al. 2015), over frames.

Over the market `(batch, lookback, rows, columns, channels)` to quantiles of every symbol; over plain frames
to frames. Keras 3 without a backend's own calls, so that it runs on TensorFlow and on JAX.
"""

from typing import Any

import keras

from models.config import QUANTILES
from models.networks.head import HEAD_LAYER, spread
from models.networks.spatiotemporal.channel_order import answer_images, plain_frames
from models.networks.spatiotemporal.config import SpatiotemporalSpec

ENCODER, DECODER, OUTPUT = "conv_lstm", "decoder", "output"
"""Names of the layers, by which their weights are found."""


def conv_lstm_layer(name: str, spec: SpatiotemporalSpec, seed: int, *, return_sequences: bool) -> Any:
    """A ConvLSTM2D that keeps rows and columns, its loop over frames written out.

    Args:
        name: Name of the layer.
        spec: Its units are the filters; a frame of one row or column gets a kernel of 1 there, else of 3.
        seed: Seed of the starting weights.
        return_sequences: Whether every frame's maps come out, `(batch, frames, rows, columns, units)`, or
            the last one's alone, `(batch, rows, columns, units)`.
    """
    return keras.layers.ConvLSTM2D(
        spec.units,
        (min(spec.rows, 3), min(spec.columns, 3)),
        padding="same",
        recurrent_activation="sigmoid",
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
        recurrent_initializer=keras.initializers.Orthogonal(seed=seed + 1),
        return_sequences=return_sequences,
        unroll=True,
        name=name,
    )


def build_market_conv_lstm(spec: SpatiotemporalSpec) -> Any:
    """The market's frames to quantiles of every symbol, with seeded starting weights.

    ```text
    (batch, lookback, rows, columns, channels)      frames, oldest session first
    (batch, lookback, rows, 1, columns * channels)  inputs as channels
    (batch, rows, 1, units)                         ConvLSTM2D, kernel 3 over neighbouring symbols, last output
    (batch, rows, units)
    (batch, rows, horizon * 7)                      one dense layer for all symbols
    (batch, rows, horizon, 7)                       spread: quantiles that cannot cross
    ```

    Args:
        spec: Size and seed; `units` filters.

    Returns:
        A `keras.Model`; the answer is in units of `sigma * sqrt(step)`, ascending along the last axis.
    """
    narrow = spec.columns_as_channels
    frames = keras.Input((spec.frames, spec.rows, spec.columns, spec.channels), name="frames")
    inputs = keras.layers.Reshape((spec.frames, spec.rows, 1, narrow.channels))(frames)
    last = conv_lstm_layer(ENCODER, narrow, spec.seed, return_sequences=False)(inputs)
    hidden = keras.layers.Reshape((spec.rows, spec.units))(last)
    start = keras.initializers.GlorotUniform(seed=spec.seed + 2)
    raw = keras.layers.Dense(spec.horizon * len(QUANTILES), kernel_initializer=start, name=HEAD_LAYER)(hidden)
    shaped = keras.layers.Reshape((spec.rows, spec.horizon, len(QUANTILES)))(raw)
    return keras.Model(frames, spread(shaped), name="conv_lstm")


def build_frames_conv_lstm(spec: SpatiotemporalSpec) -> Any:
    """Frames to the frames that follow, each cell between 0 and 1, with seeded starting weights.

    ```text
    (batch, frames, rows, columns, channels)   oldest first
    (batch, rows, columns, units)              ConvLSTM2D, last output
    (batch, horizon, rows, columns, units)     repeated
    (batch, horizon, rows, columns, units)     ConvLSTM2D, every output
    (batch, horizon, rows, columns, channels)  one convolution for all frames, sigmoid
    ```

    Args:
        spec: Size, seed and layout.

    Returns:
        A `keras.Model`; frames stand in the layout of the spec, in and out.
    """
    given, frames = plain_frames(spec)
    last = conv_lstm_layer(ENCODER, spec, spec.seed, return_sequences=False)(frames)
    repeated = keras.ops.repeat(keras.ops.expand_dims(last, 1), spec.horizon, axis=1)
    maps = conv_lstm_layer(DECODER, spec, spec.seed + 2, return_sequences=True)(repeated)
    start = keras.initializers.GlorotUniform(seed=spec.seed + 4)
    output = keras.layers.Conv3D(spec.channels, 1, activation="sigmoid", kernel_initializer=start, name=OUTPUT)(maps)
    return keras.Model(given, answer_images(output, spec), name="conv_lstm_frames")
