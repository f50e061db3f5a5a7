"""Pooled standardisation of input columns, fitted once and stored in the pipeline."""

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


def fit_scaling(values: FloatArray, fixed: tuple[int, ...] = ()) -> Scaling:
    """Return the mean and population standard deviation of the known values of each column.

    Args:
        values: `(rows, columns)` of the train span only, all symbols pooled; NaN where unknown.
        fixed: Columns that are not scaled (mask channels).

    Returns:
        The scaling; a column without a known value, or with a deviation below `MIN_SCALE`, keeps scale 1.
    """
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, values, 0.0).sum(axis=0) / count
    deviation = np.sqrt((np.where(known, values - centre, 0.0) ** 2).sum(axis=0) / count)
    scale = np.maximum(deviation, MIN_SCALE)
    centre[list(fixed)] = 0.0
    scale[list(fixed)] = 1.0
    return Scaling(tuple(centre.tolist()), tuple(scale.tolist()))
