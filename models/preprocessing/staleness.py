"""Finds the sessions up to which a symbol hardly traded: its closes repeat old prices, so a network learns nothing."""

import numpy as np
from numpy.typing import NDArray

from models.preprocessing.price_history import FloatArray, PriceHistory

STALE_SESSIONS = 20
"""Newest sessions, as_of included, whose bars are counted."""

_MIN_BARS = 10
"""Bars among them from which a symbol can be stale."""


def is_stale(history: PriceHistory) -> NDArray[np.bool_]:
    """Return `(n,)` whether more than half of the newest bars up to each session are stale.

    A bar is stale if nothing was traded (or no volume is known) and its close is that of the bar before. A series
    without volume whose closes move, such as an index or a currency, is not stale; nor is a price that does not move
    while shares change hands.
    """
    return is_mostly_stale(*_counts(history))


def is_mostly_stale(stale: NDArray[np.int64], counted: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether so many stale bars among so many newest bars make a symbol stale."""
    return (counted >= _MIN_BARS) & (2 * stale > counted)


def stale_reason(history: PriceHistory) -> str | None:
    """Return why the last session of a history is stale, one sentence; None if it is not."""
    if not len(history) or not bool(is_stale(history)[-1]):
        return None
    stale, counted = _counts(history)
    return (
        f"{int(stale[-1])} of its last {int(counted[-1])} bars up to {history.sessions[-1]} repeat the close before "
        "without volume; a network needs a symbol that trades"
    )


def stale_bars(history: PriceHistory) -> NDArray[np.bool_]:
    """Return `(n,)` whether each bar is stale, see `is_stale`."""
    rows = np.flatnonzero(~np.isnan(history.close))
    closes = history.close[rows]
    repeated = np.zeros(len(history), np.bool_)
    repeated[rows[1:]] = repeats(closes[1:], closes[:-1])
    return repeated & ~(history.volume > 0)


def repeats(close: FloatArray, before: FloatArray) -> NDArray[np.bool_]:
    """Return whether closes are those of the bars before.

    An adjusted price is computed again for each row: equal closes may differ in the last bits.
    """
    repeated: NDArray[np.bool_] = np.isclose(close, before, rtol=1e-12, atol=0.0)
    return repeated


def _counts(history: PriceHistory) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the stale bars and all bars among the newest `STALE_SESSIONS` sessions up to each session."""
    return _newest(stale_bars(history)), _newest(~np.isnan(history.close))


def _newest(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    total = np.concatenate([np.zeros(STALE_SESSIONS, np.int64), np.cumsum(chosen)])
    newest: NDArray[np.int64] = total[STALE_SESSIONS:] - total[: len(chosen)]
    return newest
