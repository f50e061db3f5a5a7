"""The network `stateful_lstm`: an LSTM whose state passes from session to session of one symbol.

The forecast as of a session depends on all sessions before it, through a state of `2 * units` numbers. Processing one
session at a time is equal to one pass of the stateless network over the whole sequence. So there are three forms of
one network, with the same arrays:

    trained   `build_stateful_lstm`   (batch, warm-up + newest, features) -> (batch, horizon, 7)
    stateful  `StatefulLstm`          (batch, sessions, features)         -> (batch, sessions, horizon, 7)
    served    `stateful_lstm_numpy`   the NumPy twins of both

Training does not depend on the order of batches: each window has its own warm-up. The warm-up sessions give the state
as a value, and gradients flow only through the newest `GRADIENT_SESSIONS`, which is truncated backpropagation
as in a stateful network that receives a sequence in chunks (Williams and Peng 1990). So windows of different symbols
may be mixed and shuffled. The service stores no state, so it cannot lose or mix up states: it runs the same fixed
number of sessions from a state of zeros. That number, warm-up included, is the `lookback` of the config in the
artifact.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from models.config import QUANTILES
from models.networks.config import NetworkSpec
from models.networks.head import HEAD_LAYER, quantile_head, recurrent_layer, spread
from models.networks.lstm import RECURRENT_LAYER, lstm_weights
from models.networks.lstm_numpy import LSTM_ARRAYS, Weights, check_arrays
from models.networks.stateful_lstm_numpy import check_batch
from models.preprocessing.windows import Float32Array

GRADIENT_SESSIONS = 5
"""Newest sessions of a window, through which gradients flow; those before them are the warm-up."""


def build_stateful_lstm(spec: NetworkSpec, *, unroll: bool = True) -> Any:
    """Build the form for training, with seeded initial weights.

    Args:
        spec: Size and seed; `lookback` includes the warm-up. Up to `GRADIENT_SESSIONS` there is no warm-up.
        unroll: Whether the loop over sessions is unrolled, see `lstm.build_lstm`.

    Returns:
        A `keras.Model` from `(batch, lookback, features)` to `(batch, horizon, 7)`.
    """
    window = keras.Input((spec.lookback, spec.features), name="window")
    recurrent = recurrent_layer(RECURRENT_LAYER, spec.units, spec.seed, unroll=unroll, return_state=True)
    warm_up = max(0, spec.lookback - GRADIENT_SESSIONS)
    state = None
    if warm_up:
        _, hidden, cell = recurrent(window[:, :warm_up])
        state = [keras.ops.stop_gradient(hidden), keras.ops.stop_gradient(cell)]
    output, _, _ = recurrent(window[:, warm_up:], initial_state=state)
    return keras.Model(window, quantile_head(output, spec.horizon, spec.seed + 2), name="stateful_lstm")


def stateful_lstm_weights(model: Any) -> Weights:
    """Return copies of the trained arrays under the names that `forward_stateful_lstm` reads.

    Args:
        model: A model of `build_stateful_lstm`.

    Returns:
        As `lstm.lstm_weights`: the layers are the same.
    """
    return lstm_weights(model)


class StatefulLstm:
    """The stateful form in Keras: `stateful=True`, a fixed batch size, and a forecast as of each session.

    Its NumPy twin is `stateful_lstm_numpy.CarriedLstm`, which accepts any number of sessions in a call.
    """

    def __init__(self, weights: Mapping[str, Float32Array], batch: int, sessions: int) -> None:
        """Build the network from trained arrays, with states of zeros.

        Args:
            weights: Arrays that `stateful_lstm_weights` returns.
            batch: Number of symbols in a call, fixed.
            sessions: Number of sessions in a call, fixed.
        """
        features, units = len(weights["kernel"]), len(weights["recurrent"])
        levels, outputs = len(QUANTILES), len(weights["head_bias"])
        inputs = keras.Input(batch_shape=(batch, sessions, features), name="sessions")
        self._recurrent = keras.layers.LSTM(units, stateful=True, return_sequences=True, name=RECURRENT_LAYER)
        head = keras.layers.Dense(outputs, name=HEAD_LAYER)
        raw = keras.ops.reshape(head(self._recurrent(inputs)), (batch, sessions, outputs // levels, levels))
        self._model = keras.Model(inputs, spread(raw), name="carried_lstm")
        self._recurrent.set_weights([weights[name] for name in LSTM_ARRAYS[:3]])
        head.set_weights([weights[name] for name in LSTM_ARRAYS[3:]])
        self._weights, self._batch = weights, batch

    def restart(self) -> None:
        """Reset the states to zeros."""
        self._recurrent.reset_state()

    def feed(self, sessions: Float32Array) -> Float32Array:
        """Process the next sessions and return the forecast as of each; see `CarriedLstm.feed`.

        Args:
            sessions: `(batch, sessions, features)`, oldest first; each row continues where its last call ended.

        Returns:
            `(batch, sessions, horizon, 7)` in units of `sigma * sqrt(step)`, ascending along the last axis.

        Raises:
            BatchError: The batch size differs from that of the states, which are unchanged.
            ArtifactError: The number of inputs differs from that of the training; the states are unchanged.
        """
        check_batch(self._batch, len(sessions))
        check_arrays("stateful_lstm", self._weights, LSTM_ARRAYS, sessions)
        quantiles: Float32Array = np.asarray(self._model(sessions))
        return quantiles
