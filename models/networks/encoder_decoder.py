"""The network `encoder_decoder`: an LSTM encodes the window as one vector, another decodes it step by step.

    window                          (batch, lookback, features)
    LSTM, last output               (batch, units)
    RepeatVector(horizon)           (batch, horizon, units)
    LSTM, return_sequences          (batch, horizon, units)
    TimeDistributed(Dense(7))       (batch, horizon, 7)
    head                            (batch, horizon, 7), ascending

The vector between the two has no time axis, so the horizon is independent of the lookback: the decoder receives the
same vector at each step and distinguishes the steps by its own state. Uses only calls of Keras 3, none of a backend.
"""

from typing import Any

import keras
import numpy as np

from models.config import QUANTILES
from models.networks.config import NetworkSpec
from models.networks.head import HEAD_LAYER, recurrent_layer, spread
from models.networks.lstm_numpy import Weights

ENCODER_LAYER, DECODER_LAYER = "encoder", "decoder"
"""Names of the two recurrent layers, used to read their weights."""


def build_encoder_decoder(spec: NetworkSpec, *, unroll: bool = True) -> Any:
    """Build the network with seeded initial weights.

    Args:
        spec: Size and seed.
        unroll: Whether the loops over sessions and steps are unrolled, see `lstm.build_lstm`.

    Returns:
        A `keras.Model` from `(batch, lookback, features)` to `(batch, horizon, 7)`.
    """
    window = keras.Input((spec.lookback, spec.features), name="window")
    encoder = recurrent_layer(ENCODER_LAYER, spec.units, spec.seed, unroll=unroll)
    decoder = recurrent_layer(DECODER_LAYER, spec.units, spec.seed + 2, unroll=unroll, return_sequences=True)
    repeated = keras.layers.RepeatVector(spec.horizon)(encoder(window))
    initializer = keras.initializers.GlorotUniform(seed=spec.seed + 4)
    dense = keras.layers.Dense(len(QUANTILES), kernel_initializer=initializer)
    raw = keras.layers.TimeDistributed(dense, name=HEAD_LAYER)(decoder(repeated))
    return keras.Model(window, spread(raw), name="encoder_decoder")


def encoder_decoder_weights(model: Any) -> Weights:
    """Return copies of the trained arrays under the names that `forward_encoder_decoder` reads.

    Args:
        model: A model of `build_encoder_decoder`.

    Returns:
        Per LSTM `encoder` and `decoder`: `..._kernel (inputs, 4 units)`, `..._recurrent (units, 4 units)` and
        `..._bias (4 units,)`; `head_kernel (units, 7)`, `head_bias (7,)`; `steps (horizon,)`: 1, 2, 3, the steps of
        the forecast, which no other array determines. All float32.
    """
    arrays: Weights = {}
    for layer in (ENCODER_LAYER, DECODER_LAYER):
        names = (f"{layer}_kernel", f"{layer}_recurrent", f"{layer}_bias")
        arrays.update(zip(names, model.get_layer(layer).get_weights(), strict=True))
    arrays.update(zip(("head_kernel", "head_bias"), model.get_layer(HEAD_LAYER).get_weights(), strict=True))
    arrays["steps"] = np.arange(1, model.output_shape[1] + 1, dtype=np.float32)
    return arrays
