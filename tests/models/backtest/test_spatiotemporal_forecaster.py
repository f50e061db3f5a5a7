"""A spatiotemporal network in a backtest: backtested forecasts are the served ones."""

import numpy as np
import pytest

from models.backtest.folds import Fold, WalkForward, walk_forward
from models.backtest.forecasters import NetworkBacktestForecaster, build_forecasters
from models.backtest.spatiotemporal_forecaster import FittedSpatiotemporalForecaster
from models.config import ModelConfig, Strategy
from models.preprocessing.price_history import Panel
from tests.support.factories import SPY, VIX, after, known_at, make_frame, make_panel, with_changes

SMALL = ModelConfig(
    "conv_lstm", Strategy.MULTI_STEP, lookback=3, references=(SPY, VIX), units=2, seeds=(0,), max_epochs=1
)


def whole_panel() -> Panel:
    """Return symbols of New York, one with holes and one with too short a history for a row, and one of Tokyo."""
    panel = make_panel(1300, seed=8)
    holed = make_frame("HOLED", 1300, 77, holes=[900, 1203, 1204])
    young = make_frame("YOUNG", 1300, 79).slice(1150, 1300)
    return Panel((*panel.histories, holed, young), panel.references)


PANEL = whole_panel()


@pytest.fixture(scope="module")
def fold() -> Fold:
    grid = PANEL.histories[0].sessions
    (found,), _ = walk_forward(PANEL, WalkForward(grid[1200], grid[1219], 20))
    return found


@pytest.fixture(scope="module")
def model(fold: Fold) -> FittedSpatiotemporalForecaster:
    fitted = NetworkBacktestForecaster(SMALL).fit(PANEL, fold, lambda _: None)
    assert isinstance(fitted, FittedSpatiotemporalForecaster)
    return fitted


def panel_known_at(instant: np.datetime64) -> Panel:
    frames = tuple(known_at(frame, instant) for frame in PANEL.histories if frame.calendar == "XNYS")
    return Panel(frames, {symbol: known_at(frame, instant) for symbol, frame in PANEL.references.items()})


def test_the_served_market_of_a_day_equals_the_rows_of_the_backtest(
    model: FittedSpatiotemporalForecaster, fold: Fold
) -> None:
    history = model.history(PANEL, *fold.test)
    assert {PANEL.histories[index].symbol for index in history.symbol_index.tolist()} == {"AAA", "BBB", "HOLED"}
    for day in np.unique(history.as_of)[[0, 4, 12]]:
        rows = np.flatnonzero(history.as_of == day)
        batch = model.forecast(panel_known_at(history.final_at[rows[0]]))
        served = dict(zip(batch.symbols, batch.quantiles, strict=True))
        assert set(served) == {PANEL.histories[index].symbol for index in history.symbol_index[rows].tolist()}
        for row in rows.tolist():
            symbol = PANEL.histories[int(history.symbol_index[row])].symbol
            np.testing.assert_allclose(served[symbol], history.raw[row], rtol=1e-5, atol=1e-7)


def test_later_data_changes_nothing_of_a_day(model: FittedSpatiotemporalForecaster, fold: Fold) -> None:
    history = model.history(PANEL, *fold.test)
    instant = history.final_at[history.as_of == np.unique(history.as_of)[9]].max()
    changed = Panel(
        tuple(with_changes(frame, after(frame, instant), seed=1) for frame in PANEL.histories),
        {symbol: with_changes(frame, after(frame, instant), seed=2) for symbol, frame in PANEL.references.items()},
    )
    again = model.history(changed, *fold.test)
    before, before_again = history.final_at <= instant, again.final_at <= instant
    np.testing.assert_allclose(again.raw[before_again], history.raw[before], rtol=1e-6, atol=1e-9)


def test_no_spatiotemporal_network_is_made_recursive() -> None:
    made = build_forecasters((SMALL,), (), ("one_step", "multi_step", "recursive"))
    assert [(forecaster.name, forecaster.strategy) for forecaster in made] == [
        ("conv_lstm", "one_step"), ("conv_lstm", "multi_step"),
    ]  # fmt: skip
