"""Which symbols stand in a market frame, and in which row: fitted once, kept in the artifact.

Rows are the symbols of one calendar, so that all of a frame's bars are final at one instant. Symbols that move
together stand side by side, so that a kernel over neighbouring rows sees something.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import ArtifactError, TooLittleHistory
from models.preprocessing.features import session_returns
from models.preprocessing.frame import FloatArray, Panel, PriceHistory
from models.preprocessing.windows import IntArray

MIN_OVERLAP = 60
"""Common returns below which the correlation of two symbols counts as 0."""

NO_ROW = -1
"""Row of a symbol that does not stand in the layout."""


@dataclass(frozen=True, slots=True)
class MarketLayout:
    """Rows of a market frame.

    Attributes:
        calendar: Calendar of every row's symbol.
        symbols: Symbol of each row.
    """

    calendar: str
    symbols: tuple[str, ...]

    def rows_of(self, panel: Panel) -> IntArray:
        """`(frames,)` row of each frame of a panel, `NO_ROW` where it stands in none."""
        row = {symbol: position for position, symbol in enumerate(self.symbols)}
        rows = [row.get(frame.symbol, NO_ROW) if frame.calendar == self.calendar else NO_ROW for frame in panel.frames]
        return np.array(rows, dtype=np.int64)

    def reason_against(self, frame: PriceHistory, network: str) -> str | None:
        """Why a symbol has no row, or None where it has one.

        Args:
            frame: The symbol's frame.
            network: Name of the network, for the sentence.
        """
        if frame.calendar != self.calendar:
            return f"the {network} forecasts the symbols of {self.calendar} alone, this one trades on {frame.calendar}"
        if frame.symbol not in self.symbols:
            return f"it is new since the {network} was trained, which has no row for it until the next training"
        return None

    def to_dict(self) -> dict[str, object]:
        """Plain JSON-able form."""
        return {"calendar": self.calendar, "symbols": list(self.symbols)}

    @staticmethod
    def from_dict(data: Mapping[str, object]) -> "MarketLayout":
        """Rebuild a layout from `to_dict`.

        Raises:
            ArtifactError: It is no layout, or a symbol stands in it twice.
        """
        try:
            symbols: list[str] = data["symbols"]  # type: ignore[assignment]
            layout = MarketLayout(str(data["calendar"]), tuple(str(symbol) for symbol in symbols))
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"the stored layout cannot be read ({error!r}); train the version again") from error
        if not layout.symbols or len(set(layout.symbols)) != len(layout.symbols):
            raise ArtifactError("the stored layout has no symbol, or one of them twice; train the version again")
        return layout


def fit_layout(panel: Panel, trained: NDArray[np.int64], cut_at: np.datetime64) -> MarketLayout:
    """Choose the calendar with most symbols and order these by the correlation of their returns.

    The order of the panel's frames does not matter.

    Args:
        panel: Frames of one group; may reach beyond the cut.
        trained: Positions in the panel of the symbols that have a window to train on, repeats allowed.
        cut_at: UTC instant, inclusive: only returns whose bars have `final_at <= cut_at` are read.

    Raises:
        TooLittleHistory: No symbol has a window to train on.
    """
    frames = sorted((panel.frames[int(position)] for position in np.unique(trained)), key=lambda frame: frame.symbol)
    if not frames:
        raise TooLittleHistory("no symbol has a window to train on; bring more history or a shorter lookback")
    names = [frame.calendar for frame in frames]
    calendar = max(sorted(set(names)), key=names.count)
    chosen = [frame for frame in frames if frame.calendar == calendar]
    order = order_by_correlation(correlations(chosen, cut_at))
    return MarketLayout(calendar, tuple(chosen[position].symbol for position in order))


def correlations(frames: list[PriceHistory], cut_at: np.datetime64) -> FloatArray:
    """Correlation of daily log returns of each pair, on the sessions both know.

    Args:
        frames: `n` symbols of one calendar.
        cut_at: UTC instant, inclusive.

    Returns:
        `(n, n)` within -1..1; 0 for a pair with fewer than `MIN_OVERLAP` common returns, or where one of both
        never moves.
    """
    sessions = np.unique(np.concatenate([frame.sessions[frame.final_at <= cut_at] for frame in frames]))
    returns = np.full((len(sessions), len(frames)), np.nan)
    for column, frame in enumerate(frames):
        known = frame.final_at <= cut_at
        rows = np.searchsorted(sessions, frame.sessions[known])
        returns[rows, column] = session_returns(frame.close[known])
    there = ~np.isnan(returns)
    counts = np.maximum(there.sum(axis=0), 1)
    centred = np.where(there, returns - np.where(there, returns, 0.0).sum(axis=0) / counts, 0.0)
    squares = np.square(centred).T @ there.astype(np.float64)
    spread = np.sqrt(squares * squares.T)
    overlap = there.T.astype(np.float64) @ there
    useful = (overlap >= MIN_OVERLAP) & (spread > 0)
    pairs: FloatArray = np.where(useful, centred.T @ centred / np.where(useful, spread, 1.0), 0.0)
    return pairs


def order_by_correlation(pairs: FloatArray) -> list[int]:
    """Leaves of an average-linkage tree (Sokal and Michener 1958), each join turned so that like ends meet.

    Args:
        pairs: `(n, n)` symmetric correlations.

    Returns:
        Every position once. Equal input, equal order: of equal joins the first is taken.
    """
    runs: dict[int, list[int]] = {position: [position] for position in range(len(pairs))}
    near = np.where(np.eye(len(pairs), dtype=bool), -np.inf, pairs)
    while len(runs) > 1:
        one, other = (int(position) for position in np.unravel_index(int(near.argmax()), near.shape))
        sizes = len(runs[one]), len(runs[other])
        mean = (sizes[0] * near[one] + sizes[1] * near[other]) / sum(sizes)
        runs[one] = _joined(runs[one], runs.pop(other), pairs)
        near[one], near[:, one] = mean, mean
        near[other], near[:, other] = -np.inf, -np.inf
        near[one, one] = -np.inf
    return next(iter(runs.values()), [])


def _joined(left: list[int], right: list[int], pairs: FloatArray) -> list[int]:
    """Two runs end to end, the ends that meet as like as possible."""
    ways = [(a, b) for a in (left, left[::-1]) for b in (right, right[::-1])]
    first, second = max(ways, key=lambda way: pairs[way[0][-1], way[1][0]])
    return first + second
