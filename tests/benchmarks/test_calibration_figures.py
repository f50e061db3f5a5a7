"""The calibration benchmark's figures on rows whose coverage is known."""

import numpy as np
import pytest

from benchmarks.accuracy.calibration import Sample, figures, misses

QUANTILES = np.array([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])


def sample(*scale: float) -> Sample:
    """Return six symbols on 20 dates; the outcomes of a date are 0.5, 1.5, 2.5 and 3.5 in turn, times a scale."""
    n = 120
    as_of = np.datetime64("2015-01-01") + np.arange(20).repeat(6).astype("timedelta64[D]")
    sigma = np.tile([0.01, 0.02, 0.03, 0.04, 0.05, 0.06], 20)
    actual = np.resize([0.5, 1.5, 2.5, 3.5], n) * np.resize(scale, n)
    return Sample(as_of, sigma, actual[:, None], np.tile(QUANTILES, (n, 1, 1)))


def test_coverage_per_step_and_per_third_by_volatility() -> None:
    found = figures(sample(1.0))
    assert [found[f"coverage_{level}"] for level in (50, 80, 95)] == [[0.25], [0.5], [0.75]]
    assert found["terciles_80"] == found["terciles_within_date_80"] == pytest.approx(0.3)


def test_pinball_is_in_basis_points() -> None:
    always = Sample(*(getattr(sample(1.0), name) for name in ("as_of", "sigma")), np.full((120, 1), 0.5), np.tile(
        QUANTILES, (120, 1, 1)))  # fmt: skip
    # 0.0875 + 0.25 + 0.375 + 0.25 + 0.125 + 0.15 + 0.0625 = 1.3 over seven levels.
    assert figures(always)["pinball"] == pytest.approx(1e4 * 1.3 / 7)


def test_a_tercile_with_wrong_coverage_is_detected() -> None:
    held = figures(sample(0.1, 0.1, 0.1, 0.1, 9.0, 9.0))
    assert held["terciles_50"] == held["terciles_within_date_50"] == pytest.approx(0.5)
    assert held["terciles_95"] == pytest.approx(0.95)


def test_figures_outside_their_bounds_are_named() -> None:
    good = {f"{name}_{level}": 0.029 for level in (50, 80, 95) for name in ("terciles", "terciles_within_date")}
    good |= {"coverage_50": [0.514, 0.486], "coverage_80": [0.8, 0.8], "coverage_95": [0.941, 0.959]}
    assert misses(good) == []
    bad = {**good, "coverage_50": [0.5, 0.516], "coverage_95": [0.939, 0.95], "terciles_80": 0.031}
    assert misses(bad) == ["coverage_50", "terciles_80", "coverage_95"]
