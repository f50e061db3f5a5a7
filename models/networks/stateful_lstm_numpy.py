"""NumPy forward pass of `stateful_lstm`, over a whole window or session by session with a stored state."""

from collections.abc import Mapping

import numpy as np

from models.config import QUANTILES
from models.errors import BatchError
from models.networks.lstm_numpy import LSTM_ARRAYS, check_arrays, forward_lstm, run_lstm, spread_quantiles, zero_state
from models.networks.row_product import row_product
from models.preprocessing.windows import Float32Array


def forward_stateful_lstm(weights: Mapping[str, Float32Array], windows: Float32Array) -> Float32Array:
    """Return the quantiles of the network `stateful_lstm` for each window, warm-up included.

    Args:
        weights: The arrays named in `LSTM_ARRAYS`.
        windows: `(windows, lookback, features)`, oldest session first.

    Returns:
        `(windows, horizon, 7)` in units of `sigma * sqrt(step)`, ascending along the last axis.

    Raises:
        ArtifactError: An array is absent or does not fit the windows.
    """
    return forward_lstm(weights, windows, "stateful_lstm")


def check_batch(expected: int, received: int) -> None:
    """Check that the size of a batch is the number of states.

    Raises:
        BatchError: The sizes differ.
    """
    if expected != received:
        raise BatchError(
            f"the stateful_lstm has the states of {expected} symbols, received a batch of {received}; feed all "
            f"{expected} in their order, pad a partial batch, or build a network for {received}"
        )


class CarriedLstm:
    """A trained `stateful_lstm` that keeps its state between calls, one state per row of its batch.

    One call per session, a call for several and one call for all return the same forecasts, which a test checks. Row
    `i` must be the same symbol in each call, its sessions without a gap: the state of a row belongs to that row.
    """

    def __init__(self, weights: Mapping[str, Float32Array], batch: int) -> None:
        """Start with states of zeros.

        Args:
            weights: The arrays named in `LSTM_ARRAYS`.
            batch: Number of symbols in a call, fixed.
        """
        self._weights, self._batch = weights, batch
        self._state = zero_state(batch, len(weights["recurrent"]))

    def restart(self) -> None:
        """Reset the states to zeros."""
        self._state = zero_state(self._batch, len(self._weights["recurrent"]))

    def feed(self, sessions: Float32Array) -> Float32Array:
        """Process the next sessions and return the forecast as of each.

        Args:
            sessions: `(batch, sessions, features)`, oldest first; each row continues where its last call ended.

        Returns:
            `(batch, sessions, horizon, 7)`: the forecast as of each session, in units of
            `sigma * sqrt(step)`, ascending along the last axis.

        Raises:
            BatchError: The batch size differs from that of the states, which are unchanged.
            ArtifactError: An array is absent or does not fit the sessions; the states are unchanged.
        """
        check_batch(self._batch, len(sessions))
        check_arrays("stateful_lstm", self._weights, LSTM_ARRAYS, sessions)
        outputs, self._state = run_lstm(self._weights, sessions, self._state)
        raw: Float32Array = row_product(outputs, self._weights["head_kernel"]) + self._weights["head_bias"]
        levels = len(QUANTILES)
        return spread_quantiles(np.reshape(raw, (*raw.shape[:2], raw.shape[2] // levels, levels)))
