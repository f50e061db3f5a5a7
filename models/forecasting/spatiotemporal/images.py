"""A market as frames, one per as_of session, gathered by index from the pooled windows' resident inputs.

A frame's cell is `(value, mask)`: a symbol without a valid window at as_of has both at 0 in the whole sample.
Inputs come from every window that is valid at as_of, whether its targets are known or not: training sees what
serving will see, and nothing later than as_of decides who stands in a frame.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.forecasting.spatiotemporal.layout import NO_ROW
from models.preprocessing.frame import DateArray, FloatArray
from models.preprocessing.windows import Float32Array, IntArray, PooledWindows

CHANNELS = 2
"""Numbers per cell: the scaled input, and 1 where the symbol has a window, else 0."""


@dataclass(frozen=True, slots=True)
class MarketImages:
    """Samples over one resident input array.

    Attributes:
        inputs: `(rows of the pool, features)` float32, as `PooledWindows.inputs`.
        ends: `(dates, rows)` row of `inputs` at which each symbol's window ends; -1 where it has none.
        lookback: Sessions in a window, frames in a sample.
        as_of: `(dates,)` datetime64[D], ascending.
        sigma: `(dates, rows)` volatility known at as_of, log-return units; 0 where there is no window.
        targets: `(dates, rows, horizon)` as `PooledWindows.targets`; 0 where not counted.
        counted: `(dates, rows)` whether the window was asked for: whether it enters a loss.
        shown: `(lookback, features)` as `PooledWindows.shown`: 0 where an older session does not show a column.
    """

    inputs: Float32Array
    ends: IntArray
    lookback: int
    as_of: DateArray
    sigma: FloatArray
    targets: FloatArray
    counted: NDArray[np.bool_]
    shown: Float32Array

    def __len__(self) -> int:
        return len(self.as_of)

    @property
    def present(self) -> NDArray[np.bool_]:
        """`(dates, rows)` whether the symbol has a window."""
        there: NDArray[np.bool_] = self.ends != NO_ROW
        return there

    def gather(self, dates: slice) -> Float32Array:
        """Some samples copied out.

        Args:
            dates: Which.

        Returns:
            `(dates, lookback, rows, features, 2)` float32, oldest session first.
        """
        ends, there = self.ends[dates], self.present[dates]
        offsets = np.arange(self.lookback - 1, -1, -1, dtype=np.int64)
        rows = np.where(there, ends, self.lookback - 1)[:, None, :] - offsets[None, :, None]
        mask = there[:, None, :, None].astype(np.float32)
        values = self.inputs[rows] * mask * self.shown[:, None, :]
        return np.stack([values, np.broadcast_to(mask, values.shape)], axis=-1)


def market_images(seen: PooledWindows, asked: PooledWindows, rows: IntArray, height: int) -> MarketImages:
    """Lay windows out as frames.

    Args:
        seen: Every window that may be an input, targets known or not.
        asked: The windows to forecast or to train on, all among `seen`; each as_of of those with a row gives
            one sample.
        rows: `(symbols,)` row of each position in the panel, -1 for none (see `MarketLayout.rows_of`).
        height: Rows of a frame.

    Returns:
        Samples in the order of as_of; windows without a row are left out.
    """
    asked = asked.select(rows[asked.symbol_index] != NO_ROW)
    as_of = np.unique(asked.as_of)
    seen = seen.select((rows[seen.symbol_index] != NO_ROW) & np.isin(seen.as_of, as_of))
    ends = np.full((len(as_of), height), NO_ROW, dtype=np.int64)
    sigma = np.zeros((len(as_of), height))
    at = cells(seen, as_of, rows)
    ends[at], sigma[at] = seen.ends, seen.sigma
    counted = np.zeros((len(as_of), height), dtype=bool)
    targets = np.zeros((len(as_of), height, asked.targets.shape[1]))
    at = cells(asked, as_of, rows)
    counted[at], targets[at] = True, np.nan_to_num(asked.targets)
    return MarketImages(seen.inputs, ends, seen.lookback, as_of, sigma, targets, counted, seen.visibility())


def cells(windows: PooledWindows, as_of: DateArray, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Where windows stand: `(windows,)` positions among the dates, and `(windows,)` rows.

    Args:
        windows: Every one has a row, and an as_of among the dates.
        as_of: `(dates,)` ascending.
        rows: `(symbols,)` row of each position in the panel.
    """
    return np.searchsorted(as_of, windows.as_of), rows[windows.symbol_index]
