"""Dividends and capital gains as one distribution: each expected figure is what the price lost."""

from math import nan

import numpy as np
import pytest

from service.prices.adjustment.distributions import total_distributions


def total(dividend: float, gain: float, *closes: float) -> float:
    """Return the distribution of the middle one of three rows."""
    return float(total_distributions(np.array([0, dividend, 0]), np.array([0, gain, 0]), np.array(closes))[1])


@pytest.mark.parametrize(
    ("dividend", "gain", "close", "expected"),
    [
        (0.0, 0.0, 99.5, 0.0),
        (2.0, 0.0, 99.5, 2.0),
        (0.0, 12.0, 88.5, 12.0),
        (1.0, 12.0, 87.0, 13.0),  # a dividend below the gain cannot contain it
        (1.0, 12.0, 99.0, 13.0),
        (12.0, 12.0, 87.5, 12.0),
        (12.0, 8.0, 88.25, 12.0),
        (12.0, 8.0, 80.25, 20.0),  # both were paid
        (8.0, 8.0, 84.5, 16.0),
    ],
)
def test_the_gain_counts_once(dividend: float, gain: float, close: float, expected: float) -> None:
    assert total(dividend, gain, 100.0, close, 90.0) == expected


def test_missing_bars_are_skipped() -> None:
    assert total(12.0, 8.0, 100.0, nan, 88.0) == 12.0
    assert total(12.0, 8.0, 100.0, nan, 80.0) == 20.0


@pytest.mark.parametrize("closes", [(nan, 88.0, 88.0), (100.0, nan, nan)])
def test_it_is_unknown_without_a_close_on_both_sides(closes: tuple[float, float, float]) -> None:
    assert np.isnan(total(12.0, 8.0, *closes))
    assert total(0.0, 8.0, *closes) == 8.0
