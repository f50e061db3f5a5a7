"""The network `conv_lstm`: an LSTM with convolutions instead of products (Shi et al. 2015), over frames.

Market images `(batch, lookback, rows, columns, channels)` give quantiles of all symbols; image frames give image
frames. Uses only calls of Keras 3, none of a backend, so that it runs on TensorFlow and on JAX.
"""

from typing import Any

import keras

from models.config import QUANTILES
from models.networks.head import HEAD_LAYER, spread
from models.networks.spatiotemporal.channel_order import frames_input, frames_output
from models.networks.spatiotemporal.config import SpatiotemporalSpec

ENCODER, DECODER, OUTPUT = "conv_lstm", "decoder", "output"
"""Names of the layers, used to read their weights."""


def conv_lstm_layer(
    name: str,
    spec: SpatiotemporalSpec,
    seed: int,
    *,
    return_sequences: bool,
    layer: type[keras.layers.ConvLSTM2D] = keras.layers.ConvLSTM2D,
) -> Any:
    """Return a ConvLSTM2D layer that keeps rows and columns, its loop over frames unrolled.

    Args:
        name: Name of the layer.
        spec: Its units are the filters; the kernel has size 3 along rows and columns, 1 along an axis of length 1.
        seed: Seed of the initial weights.
        return_sequences: Whether it returns the maps of all frames, `(batch, frames, rows, columns, units)`, or
            only of the last one, `(batch, rows, columns, units)`.
        layer: Class of the layer; `RowsConvLSTM` is for one column and the last output.
    """
    return layer(
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


class RowsConvLSTM(keras.layers.ConvLSTM2D):  # type: ignore[misc]
    """ConvLSTM2D over frames of one column, computed as matrix products; it returns its last output.

    Arrays and results are those of `conv_lstm_layer`. Keras computes eight small convolutions per frame, one for each
    gate of the frame and of the state. Here the rows that the kernel covers are put side by side: one product for all
    frames, and one per frame for the state. A CPU is several times faster at that, and XLA can compile it.
    """

    def call(self, sequences: Any, initial_state: Any = None) -> Any:  # noqa: ARG002  (Keras looks for the name)
        """Return the last output `(batch, rows, 1, filters)`.

        Args:
            sequences: `(batch, frames, rows, 1, channels)`.
            initial_state: Not used: the state begins with zeros.
        """
        cell = self.cell
        taps, filters = cell.kernel_size[0], cell.filters
        kernel = keras.ops.reshape(cell.kernel, (-1, 4 * filters))
        recurrent = keras.ops.reshape(cell.recurrent_kernel, (-1, 4 * filters))
        mixed = keras.ops.matmul(_with_neighbours(sequences[:, :, :, 0], taps), kernel) + cell.bias
        hidden = memory = None
        for frame in range(sequences.shape[1]):
            gates = mixed[:, frame]
            if hidden is not None:
                gates = gates + keras.ops.matmul(_with_neighbours(hidden, taps), recurrent)
            entry, forget, candidate, output = keras.ops.split(gates, 4, axis=-1)
            update = cell.recurrent_activation(entry) * cell.activation(candidate)
            memory = update if memory is None else cell.recurrent_activation(forget) * memory + update
            hidden = cell.recurrent_activation(output) * cell.activation(memory)
        return keras.ops.expand_dims(hidden, 2)


def _with_neighbours(maps: Any, taps: int) -> Any:
    """Return maps `(..., rows, taps * channels)`: the rows that a kernel covers, zeros beyond the first and last row.

    Args:
        maps: Tensor `(..., rows, channels)`.
        taps: Rows of the kernel; of an even number, the greater half is below, as with `same` padding.
    """
    rows, before = maps.shape[-2], (taps - 1) // 2
    padded = keras.ops.pad(maps, [(0, 0)] * (len(maps.shape) - 2) + [(before, taps - 1 - before), (0, 0)])
    return keras.ops.concatenate([padded[..., tap : tap + rows, :] for tap in range(taps)], axis=-1)


def build_market_conv_lstm(spec: SpatiotemporalSpec) -> Any:
    """Build the network from market images to quantiles of all symbols, with seeded initial weights.

    ```text
    (batch, lookback, rows, columns, channels)      frames, oldest session first
    (batch, lookback, rows, 1, columns * channels)  inputs as channels
    (batch, rows, 1, units)                         RowsConvLSTM, kernel 3 over neighbouring symbols, last output
    (batch, rows, units)
    (batch, rows, horizon * 7)                      one dense layer for all symbols
    (batch, rows, horizon, 7)                       spread: quantiles that cannot cross
    ```

    Args:
        spec: Size and seed; `units` filters.

    Returns:
        A `keras.Model`; its output is in units of `sigma * sqrt(step)`, ascending along the last axis.
    """
    narrow = spec.columns_as_channels
    frames = keras.Input((spec.frames, spec.rows, spec.columns, spec.channels), name="frames")
    inputs = keras.layers.Reshape((spec.frames, spec.rows, 1, narrow.channels))(frames)
    last = conv_lstm_layer(ENCODER, narrow, spec.seed, return_sequences=False, layer=RowsConvLSTM)(inputs)
    hidden = keras.layers.Reshape((spec.rows, spec.units))(last)
    initializer = keras.initializers.GlorotUniform(seed=spec.seed + 2)
    raw = keras.layers.Dense(spec.horizon * len(QUANTILES), kernel_initializer=initializer, name=HEAD_LAYER)(hidden)
    shaped = keras.layers.Reshape((spec.rows, spec.horizon, len(QUANTILES)))(raw)
    return keras.Model(frames, spread(shaped), name="conv_lstm")


def build_frames_conv_lstm(spec: SpatiotemporalSpec) -> Any:
    """Build the network from frames to the next frames, each cell between 0 and 1, with seeded initial weights.

    ```text
    (batch, frames, rows, columns, channels)   oldest first
    (batch, rows, columns, units)              ConvLSTM2D, last output
    (batch, horizon, rows, columns, units)     repeated
    (batch, horizon, rows, columns, units)     ConvLSTM2D, all outputs
    (batch, horizon, rows, columns, channels)  one convolution for all frames, sigmoid
    ```

    Args:
        spec: Size, seed and layout.

    Returns:
        A `keras.Model`; input and output frames have the layout of the spec.
    """
    inputs, frames = frames_input(spec)
    last = conv_lstm_layer(ENCODER, spec, spec.seed, return_sequences=False)(frames)
    repeated = keras.ops.repeat(keras.ops.expand_dims(last, 1), spec.horizon, axis=1)
    maps = conv_lstm_layer(DECODER, spec, spec.seed + 2, return_sequences=True)(repeated)
    initializer = keras.initializers.GlorotUniform(seed=spec.seed + 4)
    output_layer = keras.layers.Conv3D(
        spec.channels, 1, activation="sigmoid", kernel_initializer=initializer, name=OUTPUT
    )
    return keras.Model(inputs, frames_output(output_layer(maps), spec), name="conv_lstm_frames")
