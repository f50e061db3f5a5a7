"""Drift, historical quantiles and GJR-GARCH-t on series with known forecasts."""

from dataclasses import replace

import numpy as np
import pytest

from models.baselines.drift import fit_drift
from models.baselines.garch import GarchParameters, filter_variance, fit_garch, simulate
from models.baselines.historical import historical
from models.config import Strategy
from models.preprocessing.price_history import Panel
from models.preprocessing.windows import known_returns
from tests.support.factories import frame_of_closes, make_frame, make_panel

NEVER = np.datetime64("2100-01-01T00:00:00")


def test_drift_is_the_symbols_mean_return_times_the_step() -> None:
    up = frame_of_closes(100 * np.exp(0.002 * np.arange(600)), "UP")
    down = frame_of_closes(100 * np.exp(-0.001 * np.arange(600)), "DOWN")
    fitted = fit_drift(Panel((up, down)), Strategy.MULTI_STEP, NEVER)
    assert fitted.drifts == {"UP": pytest.approx(0.002), "DOWN": pytest.approx(-0.001)}
    assert fitted.pooled == pytest.approx(0.0005)
    batch = fitted.forecast(Panel((up, down, frame_of_closes(np.full(100, 5.0), "NEW"))))
    # residuals without the drift are 0, so all quantiles equal the drift
    np.testing.assert_allclose(batch.quantiles[0, :, 0], [0.002, 0.004, 0.006], rtol=1e-9)
    np.testing.assert_allclose(batch.quantiles[1, :, 6], [-0.001, -0.002, -0.003], rtol=1e-9)
    np.testing.assert_allclose(batch.quantiles[2, :, 3], [0.0005, 0.001, 0.0015], rtol=1e-9)


def test_drift_leaves_out_what_happens_across_a_break() -> None:
    """An uncoded split of 2:1 at row 300: across it the mean return would be 0.0008, not 0.002."""
    closes = 100 * np.exp(0.002 * np.arange(600))
    closes[300:] /= 2
    closes[300] = np.nan
    whole = frame_of_closes(closes, "AAA")
    fitted = fit_drift(Panel((replace(whole, breaks=whole.sessions[300:301]),)), Strategy.MULTI_STEP, NEVER)
    assert fitted.drifts == {"AAA": pytest.approx(0.002)}
    assert fitted.pooled == pytest.approx(0.002)


def test_drift_of_a_young_group_has_normal_quantiles() -> None:
    fitted = fit_drift(Panel((make_frame("AAA", 100, 1),)), Strategy.ONE_STEP, NEVER)
    assert fitted.quantiles[0][6] == pytest.approx(1.959964)
    assert fitted.drifts == {}


def test_historical_quantiles_are_those_of_the_newest_500_sessions() -> None:
    # 100 wild sessions, then 501 closes whose 500 returns are 0.001, 0.002, ... 0.500 in some order
    returns = np.random.default_rng(3).permutation(np.arange(1, 501) / 1000.0)
    wild = 100 * np.exp(np.where(np.arange(100) % 2, 2.0, 0.0))
    close = np.concatenate([wild, wild[-1] * np.exp(np.concatenate([[0.0], np.cumsum(returns)]))])
    batch = historical(Strategy.ONE_STEP).forecast(Panel((frame_of_closes(close),)))
    # of n = 500 sorted values the quantile p has the position 1 + 499 p: 13.475, 50.9, 125.75, 250.5, ...
    expected = [0.013475, 0.0509, 0.12575, 0.2505, 0.37525, 0.4501, 0.487525]
    np.testing.assert_allclose(batch.quantiles[0, 0], expected, rtol=1e-9)


def test_historical_leaves_holes_out_and_needs_250_returns() -> None:
    short, enough = make_frame("SHORT", 252, 1), make_frame("ENOUGH", 253, 2)
    holed = make_frame("HOLED", 600, 3, holes=list(range(300, 400)))
    batch = historical(Strategy.MULTI_STEP).forecast(Panel((short, enough, holed)))
    assert batch.symbols == ("ENOUGH", "HOLED")
    assert "251 returns" in batch.skipped[0].reason
    newest = known_returns(holed, 1)[100:]
    np.testing.assert_allclose(batch.quantiles[1, 0, 3], np.median(newest[~np.isnan(newest)]), rtol=1e-12)


PLAIN = GarchParameters(mu=0.1, omega=0.2, alpha=0.1, gamma=0.2, beta=0.5, nu=5.0, start=1.0)


def test_the_variance_is_filtered_by_the_formula() -> None:
    # unknown first return: 0.2 + (0.1 + 0.1) * 1 + 0.5 * 1 = 0.9
    # +2.1 %: shock 2, 0.2 + 0.1 * 4 + 0.5 * 0.9 = 1.05;  -0.9 %: shock -1, 0.2 + 0.3 * 1 + 0.5 * 1.05 = 1.025
    variances = filter_variance(np.array([np.nan, 0.021, -0.009]), PLAIN)
    np.testing.assert_allclose(variances, [0.9, 1.05, 1.025], rtol=1e-12)


def test_simulated_quantiles_are_those_of_the_scaled_t() -> None:
    # t with 5 degrees of freedom: quantiles 0.975 2.570582, 0.90 1.475884, 0.75 0.726687; scaled by sqrt(3 / 5)
    quantiles = simulate(PLAIN, np.array([4.0]), 1)[0, 0]
    expected = [
        0.1 + 2 * 0.774597 * value for value in (-2.570582, -1.475884, -0.726687, 0, 0.726687, 1.475884, 2.570582)
    ]
    np.testing.assert_allclose(quantiles * 100, expected, rtol=0.01, atol=0.01)


def test_simulated_steps_widen_and_are_the_same_every_time() -> None:
    first = simulate(PLAIN, np.array([1.0, 4.0]), 3)
    np.testing.assert_array_equal(first, simulate(PLAIN, np.array([1.0, 4.0]), 3))
    np.testing.assert_array_equal(first[1:], simulate(PLAIN, np.array([4.0]), 3))
    assert (np.diff(first[:, :, 6], axis=1) > 0).all()


def test_garch_finds_the_parameters_of_a_simulated_series() -> None:
    random = np.random.default_rng(12)
    variance, closes = 1.0, [100.0]
    for draw in random.standard_t(8, 6000) * np.sqrt(6 / 8):
        shock = np.sqrt(variance) * draw
        closes.append(closes[-1] * float(np.exp(shock / 100)))
        variance = 0.02 + (0.03 + 0.08 * (shock < 0)) * shock**2 + 0.91 * variance
    found = fit_garch(Panel((frame_of_closes(np.array(closes)),)), Strategy.MULTI_STEP, NEVER).parameters["AAA"]
    assert found.beta == pytest.approx(0.91, abs=0.03)
    assert found.alpha + found.gamma / 2 == pytest.approx(0.07, abs=0.03)
    assert found.gamma == pytest.approx(0.08, abs=0.04)
    assert found.nu == pytest.approx(8, abs=2)


def test_garch_skips_symbols_that_it_cannot_estimate() -> None:
    flat, short = frame_of_closes(np.full(700, 5.0), "FLAT"), make_frame("SHORT", 300, 1)
    fitted = fit_garch(Panel((flat, short, make_frame("AAA", 700, 2))), Strategy.ONE_STEP, NEVER)
    assert list(fitted.parameters) == ["AAA"]
    assert "its price never changed" in fitted.skipped[0].reason
    assert "299 returns where 500 are needed" in fitted.skipped[1].reason
    batch = fitted.forecast(Panel((flat, make_frame("AAA", 700, 2), make_frame("OTHER", 700, 3))))
    assert batch.symbols == ("AAA",)
    assert "never changed" in batch.skipped[0].reason
    assert "no parameters were estimated" in batch.skipped[1].reason


def test_baselines_accept_a_panel_without_symbols() -> None:
    panel = make_panel(300, seed=1)
    for fitted in (fit_drift(panel, Strategy.MULTI_STEP, NEVER), historical(Strategy.MULTI_STEP)):
        assert fitted.forecast(Panel(())).quantiles.shape == (0, 3, 7)
