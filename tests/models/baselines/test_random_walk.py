"""The random walk: literal quantiles, skipped symbols, holes, and the coverage of a simulated random walk."""

import json

import numpy as np
import pytest

from models.baselines import RandomWalk, fit_random_walk, random_walk_config
from models.config import Strategy
from models.errors import ArtifactError
from models.metrics.scoring_rules import coverage_rates
from models.preprocessing.features import ewma_sigma
from models.preprocessing.price_history import Panel
from models.preprocessing.windows import scaled_targets
from tests.support.factories import after, frame_of_closes, make_frame, make_panel, with_changes

NEVER = np.datetime64("2100-01-01T00:00:00")
MULTI = random_walk_config(Strategy.MULTI_STEP)


def zigzag(n: int) -> np.ndarray:
    closes: np.ndarray = 100 * np.exp(0.01 * (np.arange(n) % 2))
    return closes


def test_young_groups_get_normal_quantiles() -> None:
    walk = fit_random_walk(Panel((frame_of_closes(zigzag(100)),)), MULTI, NEVER)
    assert walk.residuals == (20, 19, 18)
    batch = walk.forecast(Panel((frame_of_closes(zigzag(100)),)))
    assert batch.symbols == ("AAA",)
    assert batch.sigma[0] == pytest.approx(0.01)
    np.testing.assert_allclose(batch.quantiles[0, 0, [0, 3, 6]], [-0.01959964, 0, 0.01959964], rtol=1e-9)
    # 0.01 * sqrt(2) * 1.281552 and 0.01 * sqrt(3) * 0.67449
    assert batch.quantiles[0, 1, 5] == pytest.approx(0.0181238822)
    assert batch.quantiles[0, 2, 4] == pytest.approx(0.0116825095)
    assert batch.last_close[0] == pytest.approx(100 * np.exp(0.01))


def test_measured_quantiles_of_a_zigzag() -> None:
    walk = fit_random_walk(Panel((frame_of_closes(zigzag(600)),)), MULTI, NEVER)
    assert walk.residuals == (520, 519, 518)
    # after one session +-1 sigma, after two nothing, after three +-1 / sqrt(3)
    np.testing.assert_allclose(walk.quantiles[0], [-1, -1, -1, 0, 1, 1, 1], atol=1e-9)
    np.testing.assert_allclose(walk.quantiles[1], np.zeros(7), atol=1e-9)
    np.testing.assert_allclose(np.array(walk.quantiles[2])[[0, 6]], [-0.57735026919, 0.57735026919], rtol=1e-9)


def test_fit_stops_at_the_cut() -> None:
    panel = make_panel(500, seed=4)
    cut = panel.histories[0].final_at[400]
    changed = Panel(tuple(with_changes(frame, after(frame, cut), 1) for frame in panel.histories))
    walk = fit_random_walk(panel, MULTI, cut)
    assert fit_random_walk(changed, MULTI, cut) == walk
    assert walk.fitted_until == int(cut.astype(np.int64))
    assert fit_random_walk(panel, MULTI, cut + np.timedelta64(20, "D")) != walk


def test_sixty_bars_and_the_bar_of_as_of_are_needed() -> None:
    walk = fit_random_walk(Panel(()), MULTI, NEVER)
    assert walk.fitted_until is None
    young, old = make_frame("YOUNG", 59, 1), make_frame("OLD", 60, 2)
    gone, holed = make_frame("GONE", 300, 3, holes=[299]), make_frame("HOLED", 300, 4, holes=[298, 200])
    batch = walk.forecast(Panel((young, old, gone, holed, young.until(0))))
    assert batch.symbols == ("OLD", "HOLED")
    assert batch.quantiles.shape == (2, 3, 7)
    assert batch.degraded == ((), ())
    assert [symbol.symbol for symbol in batch.skipped] == ["YOUNG", "GONE", "YOUNG"]
    assert "59 bars" in batch.skipped[0].reason
    assert "the bar of 2001-02-23 is missing" in batch.skipped[1].reason


def test_a_truncated_history_gives_the_same_forecast() -> None:
    walk = fit_random_walk(Panel(()), MULTI, NEVER)
    frame = make_frame("AAA", 900, 5, holes=[700, 800])
    whole, short = walk.forecast(Panel((frame,))), walk.forecast(Panel((frame.slice(650, 900),)))
    np.testing.assert_array_equal(whole.quantiles, short.quantiles)
    assert whole.sigma[0] == pytest.approx(ewma_sigma(frame.close)[-1], rel=1e-9)


def test_the_one_step_strategy_has_one_step() -> None:
    walk = fit_random_walk(Panel(()), random_walk_config(Strategy.ONE_STEP), NEVER)
    assert walk.forecast(Panel((make_frame("AAA", 100, 1),))).quantiles.shape == (1, 1, 7)
    assert walk.forecast(Panel(())).quantiles.shape == (0, 1, 7)


def test_json_round_trip_and_an_error_for_another_form() -> None:
    walk = fit_random_walk(make_panel(400, seed=1), MULTI, NEVER)
    assert RandomWalk.from_dict(json.loads(json.dumps(walk.to_dict()))) == walk
    with pytest.raises(ArtifactError, match="2 steps"):
        RandomWalk.from_dict({**walk.to_dict(), "quantiles": [[0.0] * 7] * 2})
    with pytest.raises(ArtifactError):
        RandomWalk.from_dict({"quantiles": []})


def test_a_simulated_random_walk_has_the_nominal_coverage() -> None:
    frames = tuple(make_frame(f"S{index}", 1500, index, sigma=0.005 + 0.002 * index) for index in range(12))
    walk = fit_random_walk(Panel(frames), MULTI, frames[0].final_at[749])
    sigma = [ewma_sigma(frame.close)[750:] for frame in frames]
    targets = [scaled_targets(frame, ewma_sigma(frame.close), 3)[750:] for frame in frames]
    pooled = np.concatenate(sigma)
    actual = np.concatenate(targets) * pooled[:, None] * np.sqrt([1, 2, 3])
    rates = coverage_rates(actual, walk.at(pooled))
    # 9,000 windows; three-session targets overlap, so two points are some four standard errors
    for coverage, rate in rates.items():
        np.testing.assert_allclose(rate, coverage, atol=0.02)
