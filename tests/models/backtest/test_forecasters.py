"""All backtest forecasters: backtested forecasts are the served ones, and no later data changes them."""

from dataclasses import replace

import numpy as np
import pytest

from models.backtest.folds import Fold, WalkForward, walk_forward
from models.backtest.forecasters import (
    BASELINES,
    BaselineForecaster,
    NetworkBacktestForecaster,
    RecursiveBacktestForecaster,
    build_forecasters,
)
from models.backtest.protocols import BacktestForecaster, FittedForecaster, ForecastHistory
from models.config import ModelConfig, Strategy
from models.errors import TooLittleHistory, UnknownNetwork
from models.preprocessing.price_history import Panel
from models.training.device import Device
from tests.support.factories import SPY, VIX, after, known_at, make_frame, make_panel, with_changes

SMALL = ModelConfig("lstm", Strategy.MULTI_STEP, references=(SPY, VIX), units=4, seeds=(0, 1), max_epochs=1)
FIRST, LAST = 1200, 1219


def whole_panel() -> Panel:
    """Return three symbols, one with holes, one delisted within the fold and one listed within it."""
    panel = make_panel(1300, seed=8)
    holed = make_frame("HOLED", 1300, 77, holes=[900, 1203, 1204])
    delisted = make_frame("GONE", 1210, 78)
    listed = make_frame("LATE", 1300, 79).slice(1202 - 249, 1300)
    return Panel((*panel.histories, holed, delisted, listed), panel.references)


PANEL = whole_panel()


@pytest.fixture(scope="module")
def fold() -> Fold:
    grid = PANEL.histories[0].sessions
    (found,), _ = walk_forward(PANEL, WalkForward(grid[FIRST], grid[LAST], 20))
    return found


def fit(forecaster: BacktestForecaster, fold: Fold, panel: Panel = PANEL) -> FittedForecaster:
    return forecaster.fit(panel, fold, lambda _: None)


@pytest.fixture(scope="module")
def fitted(fold: Fold) -> dict[str, FittedForecaster]:
    one_step = NetworkBacktestForecaster(replace(SMALL, strategy=Strategy.ONE_STEP))
    network = one_step.fit(PANEL, fold, lambda _: None)
    return {
        **{name: fit(BaselineForecaster(name, Strategy.MULTI_STEP), fold) for name in BASELINES},
        "lstm": network,
        "linear": fit(NetworkBacktestForecaster(replace(SMALL, forecaster="linear")), fold),
        "recursive": RecursiveBacktestForecaster(one_step, paths=4).from_one_step(network),
    }


NAMES = [*BASELINES, "lstm", "linear", "recursive"]


@pytest.mark.parametrize("name", NAMES)
def test_served_equals_backtested(fitted: dict[str, FittedForecaster], fold: Fold, name: str) -> None:
    model = fitted[name]
    history = model.history(PANEL, *fold.test)
    rows = np.random.default_rng(4).permutation(len(history))[:12]
    checked = 0
    for row in rows.tolist():
        index, instant = int(history.symbol_index[row]), history.final_at[row]
        known = {symbol: known_at(frame, instant) for symbol, frame in PANEL.references.items()}
        served = model.forecast(Panel((known_at(PANEL.histories[index], instant),), known))
        assert served.symbols == (PANEL.histories[index].symbol,), served.skipped
        np.testing.assert_array_equal(served.quantiles[0], history.raw[row])
        assert served.sigma[0] == history.sigma[row]
        checked += 1
    assert checked == 12


@pytest.mark.parametrize("name", NAMES)
def test_each_symbol_is_forecast_on_sessions_with_a_window(
    fitted: dict[str, FittedForecaster], fold: Fold, name: str
) -> None:
    history = fitted[name].history(PANEL, *fold.test)
    days = {frame.symbol: 0 for frame in PANEL.histories}
    for index in history.symbol_index.tolist():
        days[PANEL.histories[index].symbol] += 1
    assert days["AAA"] == days["BBB"] == days["7203.T"] == 20
    # two missing bars: the random walk loses those sessions, a window of five the four after them too
    needs_window = name in ("lstm", "linear", "recursive")
    assert days["HOLED"] == (20 - 2 - 4 if needs_window else 18)
    assert days["GONE"] == 10
    # the third as_of is its 250th bar, the minimum of a network; 250 returns over three sessions need 253
    assert days["LATE"] == {"garch": 0, "historical": 15, "random_walk": 20, "drift": 20}.get(name, 18)
    assert (np.diff(history.raw, axis=2) >= 0).all()
    assert ((history.as_of >= fold.test[0]) & (history.as_of <= fold.test[1])).all()


def test_outcomes_are_unknown_without_a_later_bar(fitted: dict[str, FittedForecaster], fold: Fold) -> None:
    history = fitted["random_walk"].history(PANEL, *fold.test)
    delisted = PANEL.histories[4]
    last = (history.symbol_index == 4) & (history.as_of == delisted.sessions[-2])
    expected = np.log(delisted.close[-1] / delisted.close[-2])
    np.testing.assert_allclose(history.actual[last][0], [expected, np.nan, np.nan], rtol=1e-9)
    assert np.isnat(history.target_final_at[last][0]).tolist() == [False, True, True]
    aaa = PANEL.histories[0]
    row = (history.symbol_index == 0) & (history.as_of == aaa.sessions[1205])
    expected_three = np.log(aaa.close[1206:1209] / aaa.close[1205])
    np.testing.assert_allclose(history.actual[row][0], expected_three, rtol=1e-9)


def changed_after(panel: Panel, instant: np.datetime64) -> Panel:
    frames = tuple(with_changes(frame, after(frame, instant), 5) for frame in panel.histories)
    known = {name: with_changes(frame, after(frame, instant), 6) for name, frame in panel.references.items()}
    return Panel(frames, known)


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_are_fitted_on_nothing_after_the_cut(
    fitted: dict[str, FittedForecaster], fold: Fold, name: str
) -> None:
    forecaster = BaselineForecaster(name, Strategy.MULTI_STEP)
    again = fit(forecaster, fold, changed_after(PANEL, fold.cut_at))
    expected = fitted[name].history(PANEL, *fold.test)
    np.testing.assert_array_equal(again.history(PANEL, *fold.test).raw, expected.raw)


def test_networks_are_fitted_on_nothing_after_the_cut(fitted: dict[str, FittedForecaster], fold: Fold) -> None:
    forecaster = NetworkBacktestForecaster(replace(SMALL, forecaster="linear"))
    again = fit(forecaster, fold, changed_after(PANEL, fold.cut_at))
    expected = fitted["linear"].history(PANEL, *fold.test)
    np.testing.assert_allclose(again.history(PANEL, *fold.test).raw, expected.raw, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_the_future_changes_no_forecast(fitted: dict[str, FittedForecaster], fold: Fold, name: str) -> None:
    instant = PANEL.histories[0].final_at[1208]
    before = fitted[name].history(PANEL, *fold.test)
    now = fitted[name].history(changed_after(PANEL, instant), *fold.test)
    old, new = (known_rows(history, instant) for history in (before, now))
    assert set(new) == set(old)
    for key, quantiles in old.items():
        np.testing.assert_array_equal(new[key], quantiles)


def known_rows(history: ForecastHistory, instant: np.datetime64) -> dict[tuple[int, str], np.ndarray]:
    rows = np.flatnonzero(history.final_at <= instant).tolist()
    return {(int(history.symbol_index[row]), str(history.as_of[row])): history.raw[row] for row in rows}


def test_the_forecast_is_the_mean_of_the_seeds(fitted: dict[str, FittedForecaster], fold: Fold) -> None:
    history = fitted["lstm"].history(PANEL, *fold.test)
    assert list(history.seeds) == [0, 1]
    np.testing.assert_allclose((history.seeds[0] + history.seeds[1]) / 2, history.raw, rtol=1e-12)
    assert not np.allclose(history.seeds[0], history.seeds[1])
    assert set(history.facts) == {"val_loss", "epochs"}


def test_the_recursive_first_step_is_the_one_step_forecast(fitted: dict[str, FittedForecaster], fold: Fold) -> None:
    one_step, recursive = (fitted[name].history(PANEL, *fold.test) for name in ("lstm", "recursive"))
    np.testing.assert_array_equal(recursive.raw[:, 0], one_step.raw[:, 0])
    np.testing.assert_array_equal(recursive.actual[:, :1], one_step.actual)
    assert (np.diff(recursive.raw[:, :, 5] - recursive.raw[:, :, 1], axis=1) > 0).all()


def test_too_few_sessions_and_unknown_names_are_refused() -> None:
    panel = make_panel(600, seed=2)
    grid = panel.histories[0].sessions
    (short,), _ = walk_forward(panel, WalkForward(grid[500], grid[520], 30))
    with pytest.raises(TooLittleHistory, match="a network needs 1000"):
        fit(NetworkBacktestForecaster(SMALL), short, panel)
    with pytest.raises(UnknownNetwork, match=r"no network named 'lstmm'; .* conv_lstm, .* lstm"):
        build_forecasters([replace(SMALL, forecaster="lstmm")], (), ("one_step",))
    with pytest.raises(UnknownNetwork, match="no baseline named 'naive'"):
        build_forecasters([], ("naive",), ("one_step",))
    with pytest.raises(UnknownNetwork, match="no strategy named 'two_step'"):
        build_forecasters([SMALL], (), ("two_step",))


def test_one_step_networks_come_before_the_recursive_ones() -> None:
    chosen = build_forecasters([SMALL], ("random_walk",), ("recursive", "multi_step", "one_step"), Device.CPU)
    assert [(each.name, each.strategy, each.lookback) for each in chosen] == [
        ("random_walk", "one_step", 1),
        ("lstm", "one_step", 5),
        ("random_walk", "multi_step", 1),
        ("lstm", "multi_step", 5),
        ("lstm", "recursive", 5),
    ]
    recursive = chosen[4]
    assert isinstance(recursive, RecursiveBacktestForecaster)
    for network in (chosen[1], chosen[3], recursive.one_step):
        assert isinstance(network, NetworkBacktestForecaster)
        assert network.device is Device.CPU
        assert network.identity() == replace(network, device=Device.GPU).identity()
