"""The price history of a symbol on its session grid, and panels of several histories.

A price history is all that the networks read of a symbol: prices adjusted for all corporate actions up to its last
session, NaN where a bar is missing. It is plain NumPy, so that passing it to another process is cheap.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.errors import PriceHistoryError

FloatArray = NDArray[np.float64]
DateArray = NDArray[np.datetime64]


class Bars(Protocol):
    """What the inputs read of a price history, or of many of one length: see the attributes of `PriceHistory`.

    Each array is `(..., n)`, oldest session first. Leading axes broadcast against each other, so that what many
    histories share is held once. The rows before the first session of a shorter history are NaT and NaN.
    """

    @property
    def sessions(self) -> DateArray:
        """`datetime64[D]`, strictly ascending; NaT before the first."""
        ...

    @property
    def open(self) -> FloatArray:
        """Adjusted; NaN where unknown."""
        ...

    @property
    def high(self) -> FloatArray:
        """As `open`."""
        ...

    @property
    def low(self) -> FloatArray:
        """As `open`."""
        ...

    @property
    def close(self) -> FloatArray:
        """As `open`; NaN marks a missing bar."""
        ...

    @property
    def volume(self) -> FloatArray:
        """Adjusted shares; NaN where unknown."""
        ...


def _no_breaks() -> DateArray:
    return np.empty(0, "datetime64[D]")


@dataclass(frozen=True, slots=True)
class PriceHistory:
    """The history of one symbol, oldest first, with one row for each open session of its calendar.

    Attributes:
        symbol: Yahoo-style name.
        group: Training group, for example `equity`.
        calendar: Calendar name, for example `XNYS`.
        sessions: `(n,)` datetime64[D], strictly ascending, without sessions that are recorded as closed.
        final_at: `(n,)` datetime64[s], UTC instant at which each session's bar is final (close + settle).
        open: `(n,)` adjusted for splits and dividends; NaN where the bar is missing or has no open.
        high: As `open`.
        low: As `open`.
        close: As `open`; NaN marks a missing bar (a hole).
        volume: `(n,)` shares adjusted for splits; NaN where missing.
        breaks: `(k,)` datetime64[D], ascending: sessions whose price is held back because the level may be wrong from
            there on. No return from before a break to it or after it is known.
    """

    symbol: str
    group: str
    calendar: str
    sessions: DateArray
    final_at: DateArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    breaks: DateArray = field(default_factory=_no_breaks)

    def __post_init__(self) -> None:
        n = len(self.sessions)
        for name in ("final_at", "open", "high", "low", "close", "volume"):
            if len(getattr(self, name)) != n:
                raise PriceHistoryError(
                    f"{self.symbol}: {name} has {len(getattr(self, name))} rows, sessions has {n}; both must match"
                )
        if n > 1 and not bool((np.diff(self.sessions) > np.timedelta64(0, "D")).all()):
            raise PriceHistoryError(f"{self.symbol}: sessions must ascend strictly; sort them and drop duplicates")
        close = self.close[~np.isnan(self.close)]
        if not bool(((close > 0) & np.isfinite(close)).all()):
            raise PriceHistoryError(f"{self.symbol}: closes must be positive and finite; quarantine the bad bars first")

    def __len__(self) -> int:
        return len(self.sessions)

    @property
    def segments(self) -> NDArray[np.int64]:
        """`(n,)` number of breaks at or before each session: a return is known between equal numbers alone."""
        return np.searchsorted(self.breaks, self.sessions, side="right").astype(np.int64)

    def until(self, stop: int) -> "PriceHistory":
        """Return the first `stop` sessions (exclusive bound), sharing memory."""
        return self.slice(0, stop)

    def slice(self, start: int, stop: int) -> "PriceHistory":
        """Return the sessions `start` (inclusive) to `stop` (exclusive), sharing memory."""
        cut = slice(start, stop)
        return PriceHistory(
            self.symbol, self.group, self.calendar, self.sessions[cut], self.final_at[cut],
            self.open[cut], self.high[cut], self.low[cut], self.close[cut], self.volume[cut], self.breaks,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Panel:
    """The price histories of one group, and the reference series that their inputs need.

    Attributes:
        histories: One price history per symbol, in any order; all results keep the order.
        references: Histories of reference series by symbol; an absent one is masked.
    """

    histories: tuple[PriceHistory, ...]
    references: Mapping[str, PriceHistory] = field(default_factory=dict)

    @property
    def bars(self) -> int:
        """Number of sessions of all histories together."""
        return sum(len(history) for history in self.histories)
