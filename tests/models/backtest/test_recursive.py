"""The recursive strategy, with a one-step forecaster whose forecasts are known."""

from dataclasses import replace

import numpy as np
import pytest

from models.backtest.path_sampling import inverse_cdf, mixture_quantiles, stratified_levels
from models.backtest.recursive import RecursiveForecaster
from models.config import MEMORY, Inputs, ModelConfig, Strategy
from models.forecasting.network_forecaster import NetworkForecaster
from models.preprocessing.pipeline import Pipeline
from models.preprocessing.price_history import FloatArray, Panel, PriceHistory
from models.preprocessing.windows import Float32Array, PooledWindows
from tests.support.factories import SPY, VIX, make_frame, make_panel

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


def with_rows(history: PriceHistory, rows: slice, *, close: float, volume: float) -> PriceHistory:
    """Return a history with other closes and volumes in some rows."""
    closes, volumes = history.close.copy(), history.volume.copy()
    closes[rows], volumes[rows] = close, volume
    return replace(history, close=closes, volume=volumes)


def awkward_panel() -> Panel:
    """Return a lively symbol, and five for which a path may have no window or reaches unusual sessions."""
    holed = make_frame("HOLED", 420, 2, holes=[*range(150, 190), *range(200, 400, 9)])
    short = make_frame("SHORT", 262, 3)
    # Nine bars among the newest twenty, six of them stale: one more bar, and the symbol counts as stale.
    stale = make_frame("STALE", 420, 4, holes=range(391, 402))
    stale = with_rows(stale, slice(402, 408), close=stale.close[390], volume=0.0).until(411)
    daily = make_frame("DAILY", 420, 5)
    instants = daily.final_at[0] + np.arange(420) * np.timedelta64(86400, "s")
    daily = replace(daily, sessions=daily.sessions[0] + np.arange(420), final_at=instants)
    # Closed for 100 days: the sessions after a day of the earnings cycle include synthetic ones.
    closed = make_frame("CLOSED", 420, 6)
    later = np.where(np.arange(420) >= 417, np.timedelta64(100, "D"), np.timedelta64(0, "D"))
    closed = replace(closed, sessions=closed.sessions + later, final_at=closed.final_at + later)
    lively = make_panel(420, seed=1, symbols=("AAA",), tokyo=())
    return Panel((*lively.histories, holed, short, stale, daily, closed), lively.references)


def extend_history(history: PriceHistory, returns: FloatArray) -> PriceHistory:
    """Return a history with one synthetic session for each return."""
    count = len(returns)
    days = np.busday_offset(history.sessions[-1], np.arange(1, count + 1), roll="backward").astype("datetime64[D]")
    instants = history.final_at[-1] + (days - history.sessions[-1]).astype("timedelta64[s]")
    unknown = np.full(count, np.nan)
    return replace(
        history,
        sessions=np.concatenate([history.sessions, days]),
        final_at=np.concatenate([history.final_at, instants]),
        close=np.concatenate([history.close, history.close[-1] * np.exp(np.cumsum(returns))]),
        open=np.concatenate([history.open, unknown]),
        high=np.concatenate([history.high, unknown]),
        low=np.concatenate([history.low, unknown]),
        volume=np.concatenate([history.volume, unknown]),
    )


def slow_next(
    one_step: NetworkForecaster, history: PriceHistory, window: Float32Array, returns: FloatArray
) -> FloatArray:
    """Return the `(paths, 7)` quantiles after synthetic sessions, each path as a history of its own."""
    found, _ = one_step.pipeline.newest(Panel(tuple(extend_history(history, path) for path in returns)))
    inputs = found.inputs.reshape(len(found), *window.shape).copy()
    inputs[:, : max(0, found.lookback - returns.shape[1])] = window[returns.shape[1] :]
    quantiles = np.full((len(returns), 7), np.nan)
    moved = replace(found, inputs=inputs.reshape(found.inputs.shape))
    quantiles[found.symbol_index] = one_step.quantiles(moved)[:, 0]
    return quantiles


def slow_quantiles(one_step: NetworkForecaster, panel: Panel, windows: PooledWindows, paths: int) -> FloatArray:
    """Return the recursive forecast of windows: as defined, one as_of and one path after another."""
    levels, spread = stratified_levels(paths, 2, 7), (np.arange(32) + 0.5) / 32
    quantiles = np.concatenate([one_step.quantiles(windows), np.full((len(windows), 2, 7), np.nan)], axis=1)
    gathered = windows.gather()
    for row, index in enumerate(windows.symbol_index.tolist()):
        history = panel.histories[index]
        stop = int(np.searchsorted(history.sessions, windows.as_of[row])) + 1
        tail = history.slice(max(0, stop - 490 - windows.lookback), stop)
        returns = inverse_cdf(quantiles[row, 0], levels[0])[:, None]
        following = slow_next(one_step, tail, gathered[row], returns)
        quantiles[row, 1] = mixture_quantiles(returns.sum(axis=1)[None], following[None], spread)[0]
        returns = np.stack([returns[:, 0], np.diagonal(inverse_cdf(following, levels[1]))], axis=1)
        following = slow_next(one_step, tail, gathered[row], returns)
        quantiles[row, 2] = mixture_quantiles(returns.sum(axis=1)[None], following[None], spread)[0]
    return quantiles


@pytest.mark.parametrize(("inputs", "lookback"), [(Inputs.EXTENDED, 5), (Inputs.EXTENDED, 1), (Inputs.CORE, 2)])
def test_paths_of_many_as_of_sessions_at_once_are_those_of_single_histories(inputs: Inputs, lookback: int) -> None:
    panel = awkward_panel()
    config = ModelConfig("linear", Strategy.ONE_STEP, lookback, (SPY, VIX), seeds=(0,), inputs=inputs)
    pipeline = Pipeline.fit(panel, config, panel.histories[0].final_at[-1])
    random = np.random.default_rng(1)
    kernel = random.normal(0, 0.1, (lookback * len(pipeline.feature_names), 7)).astype(np.float32)
    one_step = NetworkForecaster(config, pipeline, {0: {"head_kernel": kernel, "head_bias": np.zeros(7, np.float32)}})
    windows = pipeline.windows(panel, require_targets=False, min_bars=250)
    # The last sessions of each symbol, where the unusual ones are.
    ends = [np.flatnonzero(windows.symbol_index == index)[-6:] for index in range(len(panel.histories))]
    windows = windows.select(np.concatenate(ends))
    assert np.unique(windows.symbol_index).tolist() == [0, 1, 2, 3, 4, 5]
    expected = slow_quantiles(one_step, panel, windows, paths=4)
    quantiles = RecursiveForecaster(one_step, paths=4).quantiles(panel, windows)
    np.testing.assert_allclose(quantiles, expected, rtol=1e-9, atol=1e-12)
    left_out = np.unique(np.flatnonzero(np.isnan(expected).any(axis=2)) // 3)
    assert windows.as_of[left_out].tolist() == panel.histories[3].sessions[409:].tolist()
    assert windows.symbol_index[left_out].tolist() == [3, 3]
    alone = windows.select(left_out[:1])
    np.testing.assert_array_equal(
        RecursiveForecaster(one_step, paths=4).quantiles(panel, alone)[0, 2], np.full(7, np.nan)
    )
