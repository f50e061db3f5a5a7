"""One hash for the bars that a training used."""

import hashlib
from typing import Any

import numpy as np

from models.preprocessing.frame import Panel, PriceHistory


def panel_hash(panel: Panel, cut_at: np.datetime64) -> str:
    """SHA-256 over every frame and reference as far as it is final by an instant.

    Args:
        panel: Frames, then references by symbol.
        cut_at: UTC instant, inclusive.
    """
    digest = hashlib.sha256()
    for frame in (*panel.frames, *(panel.references[symbol] for symbol in sorted(panel.references))):
        _digest_frame(digest, frame.until(int(np.searchsorted(frame.final_at, cut_at, side="right"))))
    return digest.hexdigest()


def _digest_frame(digest: Any, frame: PriceHistory) -> None:
    digest.update(f"{frame.symbol}|{frame.group}|{frame.calendar}|{len(frame)}|".encode())
    digest.update(frame.sessions.astype("datetime64[D]").tobytes())
    digest.update(frame.final_at.astype("datetime64[s]").tobytes())
    for column in (frame.open, frame.high, frame.low, frame.close, frame.volume):
        digest.update(np.ascontiguousarray(column, dtype=np.float64).tobytes())
