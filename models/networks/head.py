"""The quantile head that every network ends in, quantiles that cannot cross; and the LSTM layer they share.

One dense layer gives, per step, the median and six raw numbers. Softplus turns those into widths of at
least 0, which are added outwards from the median one after the other; so the order of the quantiles holds
exactly, in floating point too. This module needs Keras; `models.networks.lstm_numpy` has the same in NumPy.
"""

from typing import Any

import keras

from models.config import QUANTILES
from models.networks.lstm_numpy import MEDIAN

HEAD_LAYER = "head"
"""Name of the dense layer, by which its weights are found."""


def recurrent_layer(
    name: str, units: int, seed: int, *, unroll: bool = True, return_sequences: bool = False, return_state: bool = False
) -> Any:
    """An LSTM layer with seeded starting weights.

    Args:
        name: Name of the layer, by which its weights are found.
        units: Its width.
        seed: Seed of the input weights; the recurrent ones take the next.
        unroll: Whether the loop over sessions is written out.
        return_sequences: Whether it hands on its output of every session, else only of the last.
        return_state: Whether it hands on its state after the last session too: output, hidden, cell.

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
    """Turn a hidden state into quantiles per step.

    Args:
        hidden: Keras tensor `(batch, units)`.
        horizon: Steps forecast.
        seed: Seed of the starting weights.

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
    """Raw numbers to ascending quantiles: the median, and widths added outwards from it.

    Args:
        raw: Tensor `(batch, horizon, 7)`; position 3 is the median, the others widths before softplus.

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
