"""Pooled standardisation of input columns, fitted once and stored in the pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.preprocessing.price_history import FloatArray

CLIP = 6.0
"""Scaled inputs are clipped to -CLIP..CLIP, both inclusive."""

MIN_SCALE = 1.0
"""A column with a smaller deviation keeps its own scale: logs of volatility are comparable unscaled, and stretching
slow columns that the whole market shares leads to overfitting their single path."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Centre and scale of each column.

    Attributes:
        centre: Value that is subtracted, one per column.
        scale: Positive divisor, one per column.
    """

    centre: tuple[float, ...]
    scale: tuple[float, ...]

    def apply(self, values: FloatArray) -> NDArray[np.float32]:
        """Return the scaled and clipped values, with 0 for unknown ones.

        Args:
            values: `(rows, columns)` unscaled, NaN where unknown.

        Returns:
            `(rows, columns)` float32, finite, within `-CLIP..CLIP`.
        """
        scaled = (values - np.asarray(self.centre)) / np.asarray(self.scale)
        np.clip(scaled, -CLIP, CLIP, out=scaled)
        scaled[np.isnan(scaled)] = 0.0
        inputs: NDArray[np.float32] = scaled.astype(np.float32)
        return inputs


def fit_scaling(blocks: Sequence[FloatArray], fixed: tuple[int, ...] = ()) -> Scaling:
    """Return the mean and population standard deviation of the known values of each column.

    The blocks are added up one after the other, in the order in which one array of all rows would be: the result has
    the same bits, without copies of millions of rows.

    Args:
        blocks: `(rows, columns)` each, of the train span only, one or more per symbol; NaN where unknown.
        fixed: Columns that are not scaled (mask channels).

    Returns:
        The scaling; a column without a known value, or with a deviation below `MIN_SCALE`, keeps scale 1.
    """
    columns = blocks[0].shape[1]
    count, total = np.zeros(columns, np.int64), np.zeros(columns)
    for block in blocks:
        known = ~np.isnan(block)
        count += known.sum(axis=0)
        total = _continued_sum(total, np.where(known, block, 0.0))
    count = np.maximum(count, 1)
    centre = total / count
    squares = np.zeros(columns)
    for block in blocks:
        deviations = block - centre
        squares = _continued_sum(squares, np.where(np.isnan(deviations), 0.0, deviations) ** 2)
    scale = np.maximum(np.sqrt(squares / count), MIN_SCALE)
    centre[list(fixed)] = 0.0
    scale[list(fixed)] = 1.0
    return Scaling(tuple(centre.tolist()), tuple(scale.tolist()))


def _continued_sum(total: FloatArray, block: FloatArray) -> FloatArray:
    """Return a sum over rows, continued with the rows of a block one by one."""
    summed: FloatArray = np.concatenate([total[None], block]).sum(axis=0)
    return summed
