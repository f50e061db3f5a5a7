"""An LSTM whose state is carried from session to session of one symbol.

The forecast as of a session depends on all sessions fed before it, through a state of `2 * units` numbers. Fed a
session at a time it equals the stateless network run over the whole sequence at once, so there are three forms of
one network, with the same arrays:

    trained   `build_stateful_lstm`  (batch, warm-up + newest, features) -> (batch, horizon, 7)
    carried   `StatefulLstm`         (batch, sessions, features)         -> (batch, sessions, horizon, 7)
    served    `forward_stateful`     the NumPy twins of both

Training knows no order of batches: each window brings its own warm-up. The warm-up sessions in front give the state
as a value, and gradients flow through the newest `LEARNT_SESSIONS` alone, which is backpropagation truncated where a
stateful network that is fed chunk by chunk truncates it (Williams and Peng 1990). So windows of different symbols may
be mixed and shuffled here too. The service has no state to keep, lose or mix up: it runs the same fixed number of
sessions from a state of zeros. That number, warm-up included, is the recipe's `lookback` and stands in the artifact.
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

LEARNT_SESSIONS = 5
"""Newest sessions of a window that gradients flow through; those before them are the warm-up."""


def build_stateful_lstm(spec: NetworkSpec, *, unroll: bool = True) -> Any:
    """Build the form that is trained, with seeded starting weights.

    Args:
        spec: Its size and seed; `lookback` counts the warm-up too. Up to `LEARNT_SESSIONS` there is none.
        unroll: Whether the loop over sessions is written out, see `lstm.build_lstm`.

    Returns:
        A `keras.Model` from `(batch, lookback, features)` to `(batch, horizon, 7)`.
    """
    window = keras.Input((spec.lookback, spec.features), name="window")
    recurrent = recurrent_layer(RECURRENT_LAYER, spec.units, spec.seed, unroll=unroll, return_state=True)
    warm_up = max(0, spec.lookback - LEARNT_SESSIONS)
    state = None
    if warm_up:
        _, hidden, cell = recurrent(window[:, :warm_up])
        state = [keras.ops.stop_gradient(hidden), keras.ops.stop_gradient(cell)]
    output, _, _ = recurrent(window[:, warm_up:], initial_state=state)
    return keras.Model(window, quantile_head(output, spec.horizon, spec.seed + 2), name="stateful_lstm")


def stateful_lstm_weights(model: Any) -> Weights:
    """Copy the trained arrays out under the names that `forward_stateful_lstm` reads.

    Args:
        model: A model of `build_stateful_lstm`.

    Returns:
        As `lstm.lstm_weights`: the layers are the same.
    """
    return lstm_weights(model)


class StatefulLstm:
    """The carried form in Keras: `stateful=True`, a fixed batch, an answer as of every session fed.

    Its NumPy twin is `forward_stateful.CarriedLstm`, which takes any number of sessions in a call.
    """

    def __init__(self, weights: Mapping[str, Float32Array], batch: int, sessions: int) -> None:
        """Build it around trained arrays, with states of zeros.

        Args:
            weights: What `stateful_lstm_weights` gives.
            batch: Symbols fed together, fixed from here on.
            sessions: Sessions fed in one call, fixed too.
        """
        features, units = len(weights["kernel"]), len(weights["recurrent"])
        levels, answers = len(QUANTILES), len(weights["head_bias"])
        fed = keras.Input(batch_shape=(batch, sessions, features), name="sessions")
        self._recurrent = keras.layers.LSTM(units, stateful=True, return_sequences=True, name=RECURRENT_LAYER)
        head = keras.layers.Dense(answers, name=HEAD_LAYER)
        raw = keras.ops.reshape(head(self._recurrent(fed)), (batch, sessions, answers // levels, levels))
        self._model = keras.Model(fed, spread(raw), name="carried_lstm")
        self._recurrent.set_weights([weights[name] for name in LSTM_ARRAYS[:3]])
        head.set_weights([weights[name] for name in LSTM_ARRAYS[3:]])
        self._weights, self._batch = weights, batch

    def restart(self) -> None:
        """Forget all sessions fed so far."""
        self._recurrent.reset_state()

    def feed(self, sessions: Float32Array) -> Float32Array:
        """Take the next sessions and answer from each of them; see `CarriedLstm.feed`.

        Args:
            sessions: `(batch, sessions, features)`, oldest first, each row going on where its last call ended.

        Returns:
            `(batch, sessions, horizon, 7)` in units of `sigma * sqrt(step)`, ascending along the last axis.

        Raises:
            BatchError: The batch is not the size that states are carried for; nothing was taken.
            ArtifactError: The sessions have other inputs than the network was trained on; nothing was taken.
        """
        check_batch(self._batch, len(sessions))
        check_arrays("stateful_lstm", self._weights, LSTM_ARRAYS, sessions)
        answered: Float32Array = np.asarray(self._model(sessions))
        return answered
