"""What is served equals what the forecaster says of the raw record, then and in hindsight."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from models.baselines import RandomWalk
from models.config import Strategy
from models.forecaster import Forecaster
from models.forecasting.network_forecaster import NetworkForecaster, load_forecaster
from models.preprocessing.price_history import Panel, PriceHistory
from models.training.tasks import ForecastTask
from service.db.session import Database
from service.db.tables import forecasts, model_versions, served_forecasts
from service.market.exchange_calendar import get_calendar
from service.market.instruments import add_symbols
from service.prices.panel import PanelQuery, load_panel
from service.prices.sources.base import Action, FetchedPrices, PriceSource
from service.prices.sources.sample import SampleSource
from tests.support.forecast_factory import Desk, open_desk, raw_quantiles_of, utc

AS_OF = date(2012, 11, 14)
"""A week after a dividend of AAPL, on the eve of MSFT's ex-date, with a storm's two closed days (29 and 30 October)."""
LATER = utc(2013, 2, 28, 23)
SYMBOLS = ("AAPL", "IBM", "MSFT")


@pytest.fixture(scope="module")
def source() -> PriceSource:
    return SampleSource()


@pytest.fixture
def desk(database: Database, tmp_path: Path, source: PriceSource) -> Desk:
    """The sample, pulled and forecast on the evening of as_of by networks and random walks."""
    evening = utc(2012, 11, 14, 23)
    desk = open_desk(database, tmp_path, evening, source)
    with database.transaction() as connection:
        add_symbols(connection, SYMBOLS, evening, {})
    assert {one.state for one in desk.pull(AS_OF).values()} == {"ok"}
    for strategy in Strategy:
        desk.add_network(strategy, "champion")
    assert {one.state for one in desk.forecast(AS_OF).values()} == {"forecast"}
    return desk


def adjusted(history: FetchedPrices) -> np.ndarray:
    """`(n, 4)` open, high, low, close adjusted for dividends and factors, one action after the other."""
    prices = history.bars[["open", "high", "low", "close"]].to_numpy().copy()
    raw = history.bars["close"].to_numpy()
    days = [day.date() for day in history.bars.index]
    for action in history.actions:
        prices[: _first_from(days, action)] *= _ratio(days, raw, action)
    return prices


def _first_from(days: Sequence[date], action: Action) -> int:
    return sum(day < action.ex_date for day in days)


def _ratio(days: Sequence[date], raw: np.ndarray, action: Action) -> float:
    place = _first_from(days, action)
    if action.kind == "split" or place in (0, len(days)):
        return 1.0
    return action.value if action.kind == "factor" else 1 - action.value / float(raw[place - 1])


def frame_of(source: PriceSource, symbol: str, at: datetime) -> PriceHistory:
    """A frame made straight of the record."""
    history = source.fetch(symbol, None, at)
    table = get_calendar("XNYS", date(1999, 1, 4), LATER.date()).table(date(1999, 1, 4), LATER.date())
    final_at = table.close_at.astype("datetime64[s]") + np.timedelta64(90, "m")
    sessions = table.sessions.astype("datetime64[D]")
    days = history.bars.index.to_numpy().astype("datetime64[D]")
    now = np.datetime64(at.replace(tzinfo=None), "s")
    grid = (sessions >= days[0]) & (final_at <= now)
    sessions, final_at = sessions[grid], final_at[grid]
    columns = np.full((len(sessions), 5), np.nan)
    known = np.isin(days, sessions)
    places = np.searchsorted(sessions, days[known])
    columns[places, :4] = adjusted(history)[known]
    columns[places, 4] = history.bars["volume"].to_numpy()[known]
    return PriceHistory(symbol, "equity", "XNYS", sessions, final_at, *np.ascontiguousarray(columns.T))


def forecasters(desk: Desk) -> dict[int, Forecaster]:
    store = desk.context.settings.artifact_dir
    return {row.id: load_forecaster(store / row.artifact, row.sha256) for row in desk.rows(model_versions)}


def test_served_equals_inference_on_the_raw_record(desk: Desk, source: PriceSource) -> None:
    panel = Panel(tuple(frame_of(source, symbol, utc(2012, 11, 14, 23)) for symbol in SYMBOLS))
    assert all(frame.sessions[-1] == np.datetime64(AS_OF) for frame in panel.histories)
    compared = 0
    for version, forecaster in forecasters(desk).items():
        batch = forecaster.forecast(panel)
        assert batch.symbols == SYMBOLS
        for row in desk.rows(forecasts, model_version_id=version):
            place = SYMBOLS.index(row.symbol)
            np.testing.assert_allclose(
                raw_quantiles_of(row), batch.quantiles[place, row.step - 1], rtol=1e-5, atol=1e-7
            )
            assert row.sigma == pytest.approx(batch.sigma[place], rel=1e-9)
            compared += 1
    assert compared == 3 * 2 * 4  # symbols, forecasters, steps


def test_served_equals_the_backtest_made_in_hindsight(desk: Desk, source: PriceSource) -> None:
    """Months later the record holds more dividends and more bars; a backtest cut at as_of says the same."""
    panel = Panel(tuple(frame_of(source, symbol, LATER) for symbol in SYMBOLS))
    networks = {key: each for key, each in forecasters(desk).items() if isinstance(each, NetworkForecaster)}
    assert len(networks) == 2
    for version, network in networks.items():
        windows = network.pipeline.windows(panel, require_targets=True)
        cut = windows.select(windows.as_of == np.datetime64(AS_OF))
        assert len(cut) == len(SYMBOLS)
        quantiles = network.quantiles(cut)
        for row in desk.rows(forecasts, model_version_id=version):
            place = list(cut.symbol_index).index(SYMBOLS.index(row.symbol))
            np.testing.assert_allclose(raw_quantiles_of(row), quantiles[place, row.step - 1], rtol=1e-5, atol=1e-7)
            target = panel.histories[SYMBOLS.index(row.symbol)].sessions
            assert np.datetime64(row.target_session) == target[np.searchsorted(target, np.datetime64(AS_OF)) + row.step]


def test_the_newest_window_is_the_one_training_would_cut_there(desk: Desk) -> None:
    task = desk.worker.requests[-1]
    assert isinstance(task, ForecastTask)
    with desk.database.reading() as connection:
        query = PanelQuery(SYMBOLS, (), datetime(2012, 11, 14, 23, tzinfo=UTC), desk.context.calendars.settle)
        whole = load_panel(connection, query)
    assert len(whole.histories[0]) > 7 * len(task.panel.histories[0]) > 0
    for network in forecasters(desk).values():
        if isinstance(network, RandomWalk):
            continue
        assert isinstance(network, NetworkForecaster)
        newest, skipped = network.pipeline.newest(task.panel)
        assert skipped == ()
        trained = network.pipeline.windows(whole, require_targets=False)
        cut = trained.select(trained.as_of == np.datetime64(AS_OF))
        np.testing.assert_allclose(newest.gather(), cut.gather(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(newest.sigma, cut.sigma, rtol=1e-9)


def test_the_networks_serve(desk: Desk) -> None:
    networks = {key for key, each in forecasters(desk).items() if isinstance(each, NetworkForecaster)}
    assert {row.model_version_id for row in desk.rows(served_forecasts)} == networks
