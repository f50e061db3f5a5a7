"""The NumPy forward pass of `stateful_lstm`, over a whole window or session by session with the state carried on."""

from collections.abc import Mapping

import numpy as np

from models.config import QUANTILES
from models.errors import BatchError
from models.networks.lstm_numpy import LSTM_ARRAYS, check_arrays, forward_lstm, run_lstm, spread_quantiles, zero_state
from models.networks.row_product import row_product
from models.preprocessing.windows import Float32Array


def forward_stateful_lstm(weights: Mapping[str, Float32Array], windows: Float32Array) -> Float32Array:
    """The network `stateful_lstm`: the state is rebuilt by running through the whole window, warm-up included.

    Args:
        weights: The arrays named in `LSTM_ARRAYS`.
        windows: `(windows, lookback, features)`, oldest session first.

    Returns:
        `(windows, horizon, 7)` in units of `sigma * sqrt(step)`, ascending along the last axis.

    Raises:
        ArtifactError: An array is absent or does not fit the windows.
    """
    return forward_lstm(weights, windows, "stateful_lstm")


def check_batch(carried: int, received: int) -> None:
    """Refuse a batch of another size than the states that are carried.

    Raises:
        BatchError: The sizes differ.
    """
    if carried != received:
        raise BatchError(
            f"the stateful_lstm carries the states of {carried} symbols, received a batch of {received}; feed all "
            f"{carried} in their order, fill a partial batch up, or make one for {received}"
        )


class CarriedLstm:
    """A trained `stateful_lstm` that is fed session by session and remembers, one state per row of its batch.

    Fed one session at a time, several, or all at once, it answers the same (a test holds it so). Row `i` must be
    the same symbol in every call, its sessions without a gap: the state of a row belongs to that row.
    """

    def __init__(self, weights: Mapping[str, Float32Array], batch: int) -> None:
        """Begin with states of zeros.

        Args:
            weights: The arrays named in `LSTM_ARRAYS`.
            batch: Symbols fed together, fixed from here on.
        """
        self._weights, self._batch = weights, batch
        self._state = zero_state(batch, len(weights["recurrent"]))

    def restart(self) -> None:
        """Forget all sessions fed so far."""
        self._state = zero_state(self._batch, len(self._weights["recurrent"]))

    def feed(self, sessions: Float32Array) -> Float32Array:
        """Take the next sessions and answer from each of them.

        Args:
            sessions: `(batch, sessions, features)`, oldest first, each row going on where its last call ended.

        Returns:
            `(batch, sessions, horizon, 7)`: the forecast as of each session fed, in units of
            `sigma * sqrt(step)`, ascending along the last axis.

        Raises:
            BatchError: The batch is not the size that states are carried for; nothing was taken.
            ArtifactError: An array is absent or does not fit the sessions; nothing was taken.
        """
        check_batch(self._batch, len(sessions))
        check_arrays("stateful_lstm", self._weights, LSTM_ARRAYS, sessions)
        outputs, self._state = run_lstm(self._weights, sessions, self._state)
        raw: Float32Array = row_product(outputs, self._weights["head_kernel"]) + self._weights["head_bias"]
        levels = len(QUANTILES)
        return spread_quantiles(np.reshape(raw, (*raw.shape[:2], raw.shape[2] // levels, levels)))
