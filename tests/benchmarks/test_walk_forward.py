"""The figures of the walk-forward benchmark, on literal outcomes."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.accuracy.walk_forward import Outcomes, figures, pooled

SPREAD = np.array([-0.02, -0.01, -0.005, 0.0, 0.005, 0.01, 0.02])


def outcomes(days: int, width: float, first: str = "2015-01-01") -> Outcomes:
    """Return two symbols on each day, one step; outcomes alternate between +0.003 and -0.003."""
    n = 2 * days
    actual = np.where(np.arange(n) % 4 < 2, 0.003, -0.003)[:, None]
    network = np.tile(SPREAD * width, (n, 1, 1))
    walk = np.tile(SPREAD, (n, 1, 1))
    return Outcomes(
        days=np.datetime64(first, "D") + np.arange(n) // 2,
        actual=actual,
        network=network,
        random_walk=walk,
        pinned=2 * walk,
        seeds=np.stack([network, walk]),
    )


def test_figures_of_a_narrower_forecast() -> None:
    told = figures(outcomes(20, 0.8))
    # scale k: 0.0055 k from the six outer quantiles on both sides, and 0.003 times the median's level, mean of seven
    assert told["random_walk"] == pytest.approx(1e4 * 0.0070 / 7, rel=1e-9)
    assert told["pinball"] == pytest.approx(1e4 * 0.0059 / 7, rel=1e-9)
    assert told["ratio"] == pytest.approx(0.0059 / 0.0070, rel=1e-9)
    assert told["pinned_ratio"] == pytest.approx(0.0059 / 0.0125, rel=1e-9)
    assert told["seeds"] == pytest.approx([0.0059 / 0.0070, 1.0], rel=1e-9)
    assert told["coverage"] == {"50": [1.0], "80": [1.0], "95": [1.0]}
    assert told["rmse_ratio"][0]["rmse"] == pytest.approx(1.0)
    assert told["n"] == 40
    assert told["p"] < 1e-9


def test_a_shifted_median_costs_squared_error() -> None:
    made = outcomes(20, 1.0)
    told = figures(replace(made, network=made.network + 0.004))
    # half of the errors are 0.001, half 0.007: sqrt((1 + 49) / 2) / 3
    assert told["rmse_ratio"][0]["rmse"] == pytest.approx(5 / 3, rel=1e-9)
    assert told["coverage"]["50"] == [0.5]


def test_years_are_pooled_in_order() -> None:
    both = pooled([outcomes(10, 0.8), outcomes(20, 1.2, "2016-01-01")])
    assert both.days[[0, 19, 20, 59]].astype(str).tolist() == ["2015-01-01", "2015-01-10", "2016-01-01", "2016-01-20"]
    assert both.seeds.shape == (2, 60, 1, 7)
    assert both.network[[0, 59], 0, 6].tolist() == pytest.approx([0.016, 0.024])
