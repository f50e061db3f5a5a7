"""The recursive strategy, with a one-step forecaster whose forecasts are known."""

import numpy as np

from models.backtest.recursive import RecursiveForecaster, extend_history
from models.config import MEMORY, ModelConfig, Strategy
from models.forecasting.network_forecaster import NetworkForecaster
from models.preprocessing.pipeline import Pipeline
from models.preprocessing.price_history import Panel, PriceHistory
from tests.support.factories import SPY, make_panel

NORMAL = np.array([-1.959964, -1.281552, -0.67449, 0.0, 0.67449, 1.281552, 1.959964])
CONFIG = ModelConfig("linear", Strategy.ONE_STEP, lookback=2, references=(SPY,), seeds=(0,))
PANEL = make_panel(700, seed=5, tokyo=())


def forecaster(median_per_return: float = 0.0) -> NetworkForecaster:
    """Return a forecaster of normal quantiles in units of sigma, its median shifted by the newest scaled return."""
    pipeline = Pipeline.fit(PANEL, CONFIG, PANEL.histories[0].final_at[500])
    features = len(pipeline.feature_names)
    kernel = np.zeros((2 * features, 7), np.float32)
    kernel[features + pipeline.feature_names.index("return"), 3] = median_per_return
    widths = np.diff(NORMAL)
    bias = np.log(np.expm1(np.concatenate([widths[:3], [0.0], widths[3:]]).clip(1e-9)))
    bias[3] = 0.0
    return NetworkForecaster(CONFIG, pipeline, {0: {"head_kernel": kernel, "head_bias": bias.astype(np.float32)}})


def test_independent_returns_widen_by_the_root_of_the_step() -> None:
    batch = RecursiveForecaster(forecaster(), paths=64).forecast(PANEL)
    assert batch.quantiles.shape == (2, 3, 7)
    units = batch.quantiles / batch.sigma[:, None, None]
    np.testing.assert_allclose(units[:, 0], np.tile(NORMAL, (2, 1)), atol=1e-4)
    # the drawn returns also move sigma a little, so the outer quantiles widen a little more
    np.testing.assert_allclose(units[:, 1, 1:6], np.tile(np.sqrt(2) * NORMAL[1:6], (2, 1)), rtol=0.08, atol=0.06)
    np.testing.assert_allclose(units[:, 2, 1:6], np.tile(np.sqrt(3) * NORMAL[1:6], (2, 1)), rtol=0.08, atol=0.10)


def test_a_drawn_return_is_the_next_windows_newest_return() -> None:
    # each return is followed by half of itself: the sum of two is 1.5 times the first, plus new noise
    plain, trending = (RecursiveForecaster(forecaster(each), paths=64).forecast(PANEL) for each in (0.0, 0.5))
    wide, narrow = (batch.quantiles[:, 1, 5] - batch.quantiles[:, 1, 1] for batch in (trending, plain))
    # sqrt(1.5^2 + 1) / sqrt(2) = 1.2748
    np.testing.assert_allclose(wide / narrow, 1.2748, rtol=0.06)


def test_paths_depend_on_the_seed_and_a_row_does_not_depend_on_others() -> None:
    both = RecursiveForecaster(forecaster(), paths=8).forecast(PANEL).quantiles
    one = RecursiveForecaster(forecaster(), paths=8).forecast(Panel(PANEL.histories[1:], PANEL.references)).quantiles
    np.testing.assert_allclose(one[0], both[1], rtol=1e-9)
    other = RecursiveForecaster(forecaster(), paths=8, seed=9).forecast(PANEL).quantiles
    assert not np.array_equal(other[:, 2], both[:, 2])


def test_symbols_without_a_window_are_skipped_as_by_the_one_step_forecaster() -> None:
    short = PANEL.histories[0].until(MEMORY)
    batch = RecursiveForecaster(forecaster(), paths=4).forecast(Panel((short, PANEL.histories[1]), PANEL.references))
    assert batch.symbols == ("BBB",)
    assert [refusal.symbol for refusal in batch.skipped] == ["AAA"]


def test_a_synthetic_session_holds_only_its_close() -> None:
    history: PriceHistory = PANEL.histories[0].until(600)  # its last session is Friday 2002-04-19
    longer = extend_history(history, np.array([0.01, -0.02]))
    assert [str(day) for day in longer.sessions[-3:]] == ["2002-04-19", "2002-04-22", "2002-04-23"]
    np.testing.assert_allclose(np.diff(np.log(longer.close[-3:])), [0.01, -0.02], rtol=1e-9)
    assert longer.final_at[-2] - longer.final_at[-3] == np.timedelta64(3, "D")
    for name in ("open", "high", "low", "volume"):
        assert np.isnan(getattr(longer, name)[-2:]).all()
