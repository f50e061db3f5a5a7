"""Images of a market, one per as_of session, gathered by index from the inputs of the pooled windows.

A cell of an image is `(value, mask)`: a symbol without a valid window at as_of has 0 for both in the whole sample.
Inputs come from all windows that are valid at as_of, whether their targets are known or not: training reads what
serving reads, and nothing later than as_of decides which symbols are in an image.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.forecasting.spatiotemporal.layout import NO_ROW
from models.preprocessing.price_history import DateArray, FloatArray
from models.preprocessing.windows import Float32Array, IntArray, PooledWindows

CHANNELS = 2
"""Numbers per cell: the scaled input, and 1 if the symbol has a window, else 0."""


@dataclass(frozen=True, slots=True)
class MarketImages:
    """Samples over one shared input array.

    Attributes:
        inputs: `(rows of the pool, features)` float32, as `PooledWindows.inputs`.
        ends: `(dates, rows)` row of `inputs` at which each symbol's window ends; -1 if it has none.
        lookback: Sessions in a window, images in a sample.
        as_of: `(dates,)` datetime64[D], ascending.
        sigma: `(dates, rows)` volatility known at as_of, log-return units; 0 if there is no window.
        targets: `(dates, rows, horizon)` as `PooledWindows.targets`; 0 if not counted.
        counted: `(dates, rows)` whether the window was selected, that is, enters a loss.
        visibility: `(lookback, features)` as `PooledWindows.visibility`: 0 if an older session does not show a column.
    """

    inputs: Float32Array
    ends: IntArray
    lookback: int
    as_of: DateArray
    sigma: FloatArray
    targets: FloatArray
    counted: NDArray[np.bool_]
    visibility: Float32Array

    def __len__(self) -> int:
        return len(self.as_of)

    @property
    def present(self) -> NDArray[np.bool_]:
        """Whether the symbol has a window, `(dates, rows)`."""
        present: NDArray[np.bool_] = self.ends != NO_ROW
        return present

    def gather(self, dates: slice) -> Float32Array:
        """Return a copy of some samples.

        Args:
            dates: Positions of the samples.

        Returns:
            `(dates, lookback, rows, features, 2)` float32, oldest session first.
        """
        ends, present = self.ends[dates], self.present[dates]
        offsets = np.arange(self.lookback - 1, -1, -1, dtype=np.int64)
        rows = np.where(present, ends, self.lookback - 1)[:, None, :] - offsets[None, :, None]
        mask = present[:, None, :, None].astype(np.float32)
        values = self.inputs[rows] * mask * self.visibility[:, None, :]
        return np.stack([values, np.broadcast_to(mask, values.shape)], axis=-1)


def market_images(inputs: PooledWindows, selected: PooledWindows, rows: IntArray, height: int) -> MarketImages:
    """Arrange windows as images.

    Args:
        inputs: All windows that may be an input, targets known or not.
        selected: The windows to forecast or to train on, all among `inputs`; each as_of of those with a row gives
            one sample.
        rows: `(symbols,)` row of each position in the panel, -1 for none (see `MarketLayout.rows_of`).
        height: Rows of an image.

    Returns:
        Samples in the order of as_of; windows without a row are left out.
    """
    selected = selected.select(rows[selected.symbol_index] != NO_ROW)
    as_of = np.unique(selected.as_of)
    inputs = inputs.select((rows[inputs.symbol_index] != NO_ROW) & np.isin(inputs.as_of, as_of))
    ends = np.full((len(as_of), height), NO_ROW, dtype=np.int64)
    sigma = np.zeros((len(as_of), height))
    cells = image_cells(inputs, as_of, rows)
    ends[cells], sigma[cells] = inputs.ends, inputs.sigma
    counted = np.zeros((len(as_of), height), dtype=bool)
    targets = np.zeros((len(as_of), height, selected.targets.shape[1]))
    cells = image_cells(selected, as_of, rows)
    counted[cells], targets[cells] = True, np.nan_to_num(selected.targets)
    return MarketImages(inputs.inputs, ends, inputs.lookback, as_of, sigma, targets, counted, inputs.visibility())


def image_cells(windows: PooledWindows, as_of: DateArray, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Return the cells of windows: `(windows,)` positions among the dates, and `(windows,)` rows.

    Args:
        windows: Each has a row, and an as_of among the dates.
        as_of: `(dates,)` ascending.
        rows: `(symbols,)` row of each position in the panel.
    """
    return np.searchsorted(as_of, windows.as_of), rows[windows.symbol_index]
