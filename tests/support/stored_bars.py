"""Reads a symbol's stored bars, for tests of the code that writes them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from service.prices.adjustment.adjust import adjustment_factors
from service.prices.repository import read_actions
from service.prices.store import load_stored


@dataclass(frozen=True, slots=True)
class Bars:
    """Stored bars, oldest first: `(n,)` sessions, opens, closes, volumes, factors, revisions and fetch instants."""

    sessions: NDArray[np.datetime64]
    open: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    factors: NDArray[np.float64]
    revision: NDArray[np.int64]
    fetched_at: NDArray[np.datetime64]

    @property
    def adjusted_close(self) -> NDArray[np.float64]:
        """Closes adjusted for dividends and factors."""
        return self.close * self.factors


def read_bars(connection: Connection, symbol: str) -> Bars:
    """Return every stored bar of a symbol."""
    stored = load_stored(connection, symbol)
    rows = stored.rows
    factors = adjustment_factors(rows.sessions, rows.close, read_actions(connection, symbol))
    return Bars(
        rows.sessions, rows.values[:, 0], rows.close, rows.values[:, 4], factors, stored.revision, stored.fetched_at
    )
