"""Pooled standardisation of input columns, fitted once and stored in the pipeline."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.preprocessing.frame import FloatArray

CLIP = 6.0
"""Scaled inputs lie within -CLIP..CLIP, both inclusive."""

LEAST_DIVISOR = 1.0
"""A column that deviates by less keeps its own scale: logs of volatility are comparable as they are, and stretching
slow columns that the whole market shares invites a fit to their one path."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Centre and scale of each column.

    Attributes:
        centre: One per column, subtracted.
        scale: One per column, divided by; positive.
    """

    centre: tuple[float, ...]
    scale: tuple[float, ...]

    def apply(self, values: FloatArray) -> NDArray[np.float32]:
        """Scale, clip, and turn unknown values into 0.

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
    """Mean and population standard deviation of the known values of each column.

    Args:
        values: `(rows, columns)` of the fit span only, all symbols pooled; NaN where unknown.
        fixed: Columns left as they are (mask channels).

    Returns:
        The scaling; a column without a known value, or whose deviation is below `LEAST_DIVISOR`, keeps scale 1.
    """
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, values, 0.0).sum(axis=0) / count
    deviation = np.sqrt((np.where(known, values - centre, 0.0) ** 2).sum(axis=0) / count)
    scale = np.maximum(deviation, LEAST_DIVISOR)
    centre[list(fixed)] = 0.0
    scale[list(fixed)] = 1.0
    return Scaling(tuple(centre.tolist()), tuple(scale.tolist()))
