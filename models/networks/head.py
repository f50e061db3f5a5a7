"""The quantile head that every network ends in: quantiles that cannot cross.

One dense layer gives, per step, the median and six raw numbers. Softplus turns those into widths of at
least 0, which are added outwards from the median one after the other; so the order of the quantiles holds
exactly, in floating point too. This module needs Keras; `models.networks.forward` has the same in NumPy.
"""

from typing import Any

import keras

from models.networks.forward import MEDIAN
from models.specs import QUANTILES

HEAD_LAYER = "head"
"""Name of the dense layer, by which its weights are found."""


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
