"""Bounds for the difference of two float32 computations of one network."""

from collections.abc import Iterable

import numpy as np

UNIT_ROUNDOFF = 2.0**-24
"""Largest relative error of one float32 operation, rounded to nearest."""

CONFIDENCE = 2.0
"""Standard errors allowed for a sum's rounding (Higham and Mary 2019, lambda in their probabilistic bound)."""


def float32_tolerance(summands: int, depth: int, values: np.ndarray) -> float:
    """Return the absolute tolerance between two float32 implementations of one network.

    The rounding errors of a sum of `n` products are independent enough to grow with `sqrt(n)`:
    `|error| <= lambda * sqrt(n) * u * |terms|` (Higham and Mary 2019). Activations have a slope of 1 at most, so the
    errors of sums that follow each other add up: `depth` times as much. Both implementations err, which
    doubles it. Terms are taken to be as large as the largest answer, and 1 at least, since gates are within 0..1.
    No processor, library or seed enters; a wrong formula differs by 1e-2 and more.

    Args:
        summands: Products in the longest sum, see `longest_sum`.
        depth: Sums one after the other from the first input to the answer: sessions or frames of each recurrent
            layer, and one for each other layer.
        values: The expected answers.
    """
    size = max(1.0, float(np.abs(values).max()))
    return 2 * CONFIDENCE * float(np.sqrt(summands)) * UNIT_ROUNDOFF * depth * size


def longest_sum(arrays: Iterable[np.ndarray]) -> int:
    """Return the largest number of products in one sum of a network: all axes of a kernel but the last."""
    return max(int(np.prod(array.shape[:-1])) for array in arrays)


def assert_equal_in_float32(found: np.ndarray, expected: np.ndarray, arrays: Iterable[np.ndarray], depth: int) -> None:
    """Assert that two float32 answers of a network with these arrays differ by rounding only."""
    tolerance = float32_tolerance(longest_sum(arrays), depth, expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
