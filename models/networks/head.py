"""The quantile head of all networks, whose quantiles cannot cross, and the LSTM layer that they share.

One dense layer gives, per step, the median and six raw numbers. Softplus turns those into widths of at
least 0, which are added outwards from the median one after the other; so the quantiles are ordered
exactly, in floating point too. This module needs Keras; `models.networks.lstm_numpy` has the same in NumPy.
"""

from typing import Any

import keras

from models.config import MEDIAN, QUANTILES

HEAD_LAYER = "head"
"""Name of the dense layer, used to read its weights."""


def recurrent_layer(
    name: str, units: int, seed: int, *, unroll: bool = True, return_sequences: bool = False, return_state: bool = False
) -> Any:
    """Return an LSTM layer with seeded initial weights.

    Args:
        name: Name of the layer, used to read its weights.
        units: Width of the layer.
        seed: Seed of the input weights; the recurrent weights use `seed + 1`.
        unroll: Whether the loop over sessions is unrolled.
        return_sequences: Whether it returns its output of each session, else only of the last.
        return_state: Whether it also returns its state after the last session: output, hidden, cell.

    Returns:
        A `keras.layers.LSTM`.
    """
    return keras.layers.LSTM(
        units,
        unroll=unroll,
        return_sequences=return_sequences,
        return_state=return_state,
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
        recurrent_initializer=keras.initializers.Orthogonal(seed=seed + 1),
        name=name,
    )


def quantile_head(hidden: Any, horizon: int, seed: int) -> Any:
    """Return the quantiles per step from a hidden state.

    Args:
        hidden: Keras tensor `(batch, units)`.
        horizon: Number of steps forecast.
        seed: Seed of the initial weights.

    Returns:
        Keras tensor `(batch, horizon, 7)`, ascending along the last axis, in units of
        `sigma * sqrt(step)`.
    """
    levels = len(QUANTILES)
    dense = keras.layers.Dense(
        horizon * levels,
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
        name=HEAD_LAYER,
    )
    return spread(keras.ops.reshape(dense(hidden), (-1, horizon, levels)))


def spread(raw: Any) -> Any:
    """Return ascending quantiles: the median, and widths added outwards from it.

    Args:
        raw: Tensor `(batch, horizon, 7)`; position `MEDIAN` is the median, the others are widths before softplus.

    Returns:
        Tensor `(batch, horizon, 7)`, ascending along the last axis.
    """
    widths = keras.ops.softplus(raw)
    ordered = [raw[..., MEDIAN]]
    for level in range(MEDIAN - 1, -1, -1):
        ordered.insert(0, ordered[0] - widths[..., level])
    for level in range(MEDIAN + 1, len(QUANTILES)):
        ordered.append(ordered[-1] + widths[..., level])
    return keras.ops.stack(ordered, axis=-1)
