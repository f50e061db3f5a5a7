"""Hash of the bars that a training used."""

import hashlib
from typing import Any

import numpy as np

from models.preprocessing.price_history import Panel, PriceHistory


def panel_hash(panel: Panel, cut_at: np.datetime64) -> str:
    """Return the SHA-256 of all bars of a panel that are final by an instant.

    Args:
        panel: Its symbols are hashed first, in order, then its references, sorted by symbol.
        cut_at: UTC instant, inclusive.
    """
    digest = hashlib.sha256()
    for history in (*panel.histories, *(panel.references[symbol] for symbol in sorted(panel.references))):
        _add_history(digest, history.until(int(np.searchsorted(history.final_at, cut_at, side="right"))))
    return digest.hexdigest()


def _add_history(digest: Any, history: PriceHistory) -> None:
    digest.update(f"{history.symbol}|{history.group}|{history.calendar}|{len(history)}|".encode())
    digest.update(history.sessions.astype("datetime64[D]").tobytes())
    digest.update(history.final_at.astype("datetime64[s]").tobytes())
    for column in (history.open, history.high, history.low, history.close, history.volume):
        digest.update(np.ascontiguousarray(column, dtype=np.float64).tobytes())
    if len(history.breaks):  # a history without breaks keeps the hash that earlier versions gave it
        digest.update(history.breaks.astype("datetime64[D]").tobytes())
