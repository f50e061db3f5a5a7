"""The network `stacked_lstm`: two stacked LSTMs that return the output of each session, without a RepeatVector.

    window                      (batch, lookback, features)
    LSTM, return_sequences      (batch, lookback, units)
    LSTM, return_sequences      (batch, lookback, units)
    Dense(7) at every session   (batch, lookback, 7)
    Dense(horizon) over time    (batch, horizon, 7)
    head                        (batch, horizon, 7), ascending

There are `lookback` outputs, one per session, and `horizon` steps, and the two numbers are independent: 5 sessions
give 3 steps, 1 session gives 3, 22 give 1. So a last Dense layer runs along the time axis: step h is a weighted sum of
the outputs of all sessions, with `lookback` weights and a bias of its own. Its initial weights give the mean, and it
learns which sessions matter for which step. Uses only calls of Keras 3, none of a backend.
"""

from typing import Any

import keras

from models.config import QUANTILES
from models.networks.config import NetworkSpec
from models.networks.head import HEAD_LAYER, recurrent_layer, spread
from models.networks.lstm_numpy import Weights

FIRST_LAYER, SECOND_LAYER, STEPS_LAYER = "first", "second", "steps"
"""Names of the two recurrent layers and of the layer along time, used to read their weights."""


def build_stacked_lstm(spec: NetworkSpec, *, unroll: bool = True) -> Any:
    """Build the network with seeded initial weights.

    Args:
        spec: Size and seed.
        unroll: Whether the loop over sessions is unrolled, see `lstm.build_lstm`.

    Returns:
        A `keras.Model` from `(batch, lookback, features)` to `(batch, horizon, 7)`.
    """
    window = keras.Input((spec.lookback, spec.features), name="window")
    first = recurrent_layer(FIRST_LAYER, spec.units, spec.seed, unroll=unroll, return_sequences=True)
    second = recurrent_layer(SECOND_LAYER, spec.units, spec.seed + 2, unroll=unroll, return_sequences=True)
    initializer = keras.initializers.GlorotUniform(seed=spec.seed + 4)
    raw = keras.layers.Dense(len(QUANTILES), kernel_initializer=initializer, name=HEAD_LAYER)(second(first(window)))
    mean = keras.initializers.Constant(1.0 / spec.lookback)
    along_time = keras.layers.Dense(spec.horizon, kernel_initializer=mean, name=STEPS_LAYER)
    steps = along_time(keras.ops.swapaxes(raw, 1, 2))
    return keras.Model(window, spread(keras.ops.swapaxes(steps, 1, 2)), name="stacked_lstm")


def stacked_lstm_weights(model: Any) -> Weights:
    """Return copies of the trained arrays under the names that `forward_stacked_lstm` reads.

    Args:
        model: A model of `build_stacked_lstm`.

    Returns:
        Per LSTM `first` and `second`: `..._kernel (inputs, 4 units)`, `..._recurrent (units, 4 units)` and
        `..._bias (4 units,)`; `head_kernel (units, 7)`, `head_bias (7,)`, `steps_kernel (lookback, horizon)`,
        `steps_bias (horizon,)`, all float32.
    """
    arrays: Weights = {}
    for layer in (FIRST_LAYER, SECOND_LAYER):
        names = (f"{layer}_kernel", f"{layer}_recurrent", f"{layer}_bias")
        arrays.update(zip(names, model.get_layer(layer).get_weights(), strict=True))
    for layer in (HEAD_LAYER, STEPS_LAYER):
        arrays.update(zip((f"{layer}_kernel", f"{layer}_bias"), model.get_layer(layer).get_weights(), strict=True))
    return arrays
