"""The rows of a market image: which symbol has which row; fitted once, stored in the artifact.

Rows are the symbols of one calendar, so that all bars of an image are final at one instant. Symbols with correlated
returns have neighbouring rows, so that a kernel over neighbouring rows finds a pattern.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import ArtifactError, TooLittleHistory
from models.preprocessing.features import session_returns
from models.preprocessing.price_history import FloatArray, Panel, PriceHistory
from models.preprocessing.windows import IntArray

MIN_OVERLAP = 60
"""Minimum of common returns; with fewer, the correlation of two symbols counts as 0."""

NO_ROW = -1
"""Row of a symbol that is not in the layout."""


@dataclass(frozen=True, slots=True)
class MarketLayout:
    """Rows of a market image.

    Attributes:
        calendar: Calendar of all symbols.
        symbols: Symbol of each row.
    """

    calendar: str
    symbols: tuple[str, ...]

    def rows_of(self, panel: Panel) -> IntArray:
        """Return the row of each symbol of a panel, `(symbols,)`, `NO_ROW` if it has none."""
        row = {symbol: position for position, symbol in enumerate(self.symbols)}
        rows = [
            row.get(history.symbol, NO_ROW) if history.calendar == self.calendar else NO_ROW
            for history in panel.histories
        ]
        return np.array(rows, dtype=np.int64)

    def has_symbols_of(self, other: "MarketLayout") -> bool:
        """Return whether another layout has the same calendar and symbols, in any order."""
        return self.calendar == other.calendar and set(self.symbols) == set(other.symbols)

    def skip_reason(self, history: PriceHistory, network: str) -> str | None:
        """Return why a symbol has no row, or None if it has one.

        Args:
            history: Price history of the symbol.
            network: Name of the network, for the message.
        """
        if history.calendar != self.calendar:
            return f"the {network} forecasts only the symbols of {self.calendar}, this one trades on {history.calendar}"
        if history.symbol not in self.symbols:
            return f"it is new since the {network} was trained, which has no row for it until the next training"
        return None

    def to_dict(self) -> dict[str, object]:
        """Return the layout as a JSON-serializable dictionary."""
        return {"calendar": self.calendar, "symbols": list(self.symbols)}

    @staticmethod
    def from_dict(data: Mapping[str, object]) -> "MarketLayout":
        """Rebuild a layout from `to_dict`.

        Raises:
            ArtifactError: The data is no layout, or a symbol has two rows.
        """
        try:
            symbols: list[str] = data["symbols"]  # type: ignore[assignment]
            layout = MarketLayout(str(data["calendar"]), tuple(str(symbol) for symbol in symbols))
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"the stored layout cannot be read ({error!r}); train the version again") from error
        if not layout.symbols or len(set(layout.symbols)) != len(layout.symbols):
            raise ArtifactError("the stored layout has no symbol, or a symbol twice; train the version again")
        return layout


def fit_layout(panel: Panel, trained: NDArray[np.int64], cut_at: np.datetime64) -> MarketLayout:
    """Choose the calendar with most symbols and order its symbols by the correlation of their returns.

    The order of the panel does not matter.

    Args:
        panel: Price histories of one group; may reach beyond the cut.
        trained: Positions in the panel of the symbols with a window to train on, repeats allowed.
        cut_at: UTC instant, inclusive: only returns whose bars have `final_at <= cut_at` are read.

    Raises:
        TooLittleHistory: No symbol has a window to train on.
    """
    histories = sorted(
        (panel.histories[int(position)] for position in np.unique(trained)), key=lambda history: history.symbol
    )
    if not histories:
        raise TooLittleHistory("no symbol has a window to train on; add more history or use a shorter lookback")
    names = [history.calendar for history in histories]
    calendar = max(sorted(set(names)), key=names.count)
    chosen = [history for history in histories if history.calendar == calendar]
    order = order_by_correlation(correlations(chosen, cut_at))
    return MarketLayout(calendar, tuple(chosen[position].symbol for position in order))


def correlations(histories: list[PriceHistory], cut_at: np.datetime64) -> FloatArray:
    """Return the correlation of daily log returns of each pair, on their common sessions.

    Args:
        histories: `n` symbols of one calendar.
        cut_at: UTC instant, inclusive.

    Returns:
        `(n, n)` within -1..1; 0 for a pair with fewer than `MIN_OVERLAP` common returns, or if one of both
        is constant.
    """
    sessions = np.unique(np.concatenate([history.sessions[history.final_at <= cut_at] for history in histories]))
    returns = np.full((len(sessions), len(histories)), np.nan)
    for column, history in enumerate(histories):
        final = history.final_at <= cut_at
        rows = np.searchsorted(sessions, history.sessions[final])
        returns[rows, column] = session_returns(history.close[final])
    present = ~np.isnan(returns)
    counts = np.maximum(present.sum(axis=0), 1)
    centred = np.where(present, returns - np.where(present, returns, 0.0).sum(axis=0) / counts, 0.0)
    squares = np.square(centred).T @ present.astype(np.float64)
    spread = np.sqrt(squares * squares.T)
    overlap = present.T.astype(np.float64) @ present
    defined = (overlap >= MIN_OVERLAP) & (spread > 0)
    result: FloatArray = np.where(defined, centred.T @ centred / np.where(defined, spread, 1.0), 0.0)
    return result


def order_by_correlation(correlation: FloatArray) -> list[int]:
    """Return the leaf order of an average-linkage tree (Sokal and Michener 1958).

    Each join turns the two branches so that the most correlated ends meet.

    Args:
        correlation: `(n, n)` symmetric correlations.

    Returns:
        Each position once. Equal input gives equal order: of equal joins the first is taken.
    """
    branches: dict[int, list[int]] = {position: [position] for position in range(len(correlation))}
    linkage = np.where(np.eye(len(correlation), dtype=bool), -np.inf, correlation)
    while len(branches) > 1:
        left, right = (int(position) for position in np.unravel_index(int(linkage.argmax()), linkage.shape))
        sizes = len(branches[left]), len(branches[right])
        mean = (sizes[0] * linkage[left] + sizes[1] * linkage[right]) / sum(sizes)
        branches[left] = _joined(branches[left], branches.pop(right), correlation)
        linkage[left], linkage[:, left] = mean, mean
        linkage[right], linkage[:, right] = -np.inf, -np.inf
        linkage[left, left] = -np.inf
    return next(iter(branches.values()), [])


def _joined(left: list[int], right: list[int], correlation: FloatArray) -> list[int]:
    """Concatenate two branches, turned so that the most correlated ends meet."""
    orders = [(a, b) for a in (left, left[::-1]) for b in (right, right[::-1])]
    first, second = max(orders, key=lambda order: correlation[order[0][-1], order[1][0]])
    return first + second
