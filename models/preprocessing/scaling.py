"""Pooled standardisation of input columns, fitted once and stored in the pipeline."""

from collections.abc import Iterable, Sequence
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


def fit_scaling(parts: Sequence[FloatArray], fixed: tuple[int, ...] = ()) -> Scaling:
    """Return the mean and population standard deviation of the known values of each column.

    The parts are read one after another, so that no copy of all of them is made.

    Args:
        parts: One or more `(rows, columns)` of the train span only, one per symbol; NaN where unknown.
        fixed: Columns that are not scaled (mask channels).

    Returns:
        The scaling; a column without a known value, or with a deviation below `MIN_SCALE`, keeps scale 1.
    """
    known = np.zeros(parts[0].shape[1], np.int64)
    for part in parts:
        known += np.count_nonzero(~np.isnan(part), axis=0)
    count = np.maximum(known, 1)
    centre = _sum(np.where(np.isnan(part), 0.0, part) for part in parts) / count
    squares = _sum(np.where(np.isnan(part), 0.0, part - centre) ** 2 for part in parts)
    scale = np.maximum(np.sqrt(squares / count), MIN_SCALE)
    centre[list(fixed)] = 0.0
    scale[list(fixed)] = 1.0
    return Scaling(tuple(centre.tolist()), tuple(scale.tolist()))


def _sum(parts: Iterable[FloatArray]) -> FloatArray:
    """Return the sum of each column, in the order of the rows of all parts; the parts are overwritten."""
    total: FloatArray | None = None
    for part in parts:
        if not len(part):
            continue
        if total is not None:
            part[0] += total
        total = part.sum(axis=0)
    return np.zeros(0) if total is None else total
