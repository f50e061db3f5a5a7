"""The network `lstm`, the default: one LSTM over the window, its last output into the quantile head.

`(batch, lookback, features) -> LSTM(units) -> (batch, units) -> head -> (batch, horizon, 7)`.
Uses only calls of Keras 3, none of a backend, so that it runs on TensorFlow and on JAX.
"""

from typing import Any

import keras

from models.networks.config import NetworkSpec
from models.networks.head import HEAD_LAYER, quantile_head, recurrent_layer
from models.networks.lstm_numpy import LSTM_ARRAYS, Weights

RECURRENT_LAYER = "lstm"
"""Name of the recurrent layer, used to read its weights."""


def build_lstm(spec: NetworkSpec, *, unroll: bool = True) -> Any:
    """Build the network with seeded initial weights.

    Args:
        spec: Size and seed.
        unroll: Whether the loop over sessions is unrolled. Compiled with XLA, an unrolled loop trains
            faster than a loop by two orders of magnitude on a CPU; the numbers are the same.

    Returns:
        A `keras.Model` from `(batch, lookback, features)` to `(batch, horizon, 7)`.
    """
    window = keras.Input((spec.lookback, spec.features), name="window")
    recurrent = recurrent_layer(RECURRENT_LAYER, spec.units, spec.seed, unroll=unroll)
    return keras.Model(window, quantile_head(recurrent(window), spec.horizon, spec.seed + 2), name="lstm")


def lstm_weights(model: Any) -> Weights:
    """Return copies of the trained arrays under the names that `forward_lstm` reads.

    Args:
        model: A model of `build_lstm`.

    Returns:
        `kernel (features, 4 units)`, `recurrent (units, 4 units)`, `bias (4 units,)`,
        `head_kernel (units, 7 horizon)`, `head_bias (7 horizon,)`, all float32.
    """
    recurrent, head = model.get_layer(RECURRENT_LAYER), model.get_layer(HEAD_LAYER)
    return dict(zip(LSTM_ARRAYS, [*recurrent.get_weights(), *head.get_weights()], strict=True))
