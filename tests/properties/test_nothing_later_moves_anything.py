"""What a file says about later sessions moves nothing before them, not in the last bit: factors, returns, forecasts."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.baselines import fit_random_walk, random_walk_config
from models.baselines.base import sigma_rows
from models.baselines.drift import fit_drift
from models.baselines.garch import fit_garch
from models.baselines.historical import historical
from models.config import ModelConfig, Strategy
from models.forecasting.network_forecaster import NetworkForecaster, load_forecaster
from models.preprocessing.pipeline import Pipeline
from models.preprocessing.price_history import Panel
from service.backtest.prices import fetch_all, group_panels
from service.market.exchange_calendar import get_calendar
from service.prices.adjustment.adjust import growth_factors
from service.prices.sources.base import Action, ActionKind
from service.prices.sources.files import FilesSource
from service.prices.sources.implied_factors import derive_factors
from service.settings import Settings
from tests.support.forecast_factory import save_network

DAYS = np.arange(np.datetime64("2018-01-01"), np.datetime64("2018-01-01") + 120)
ROWS = 760
CHANGED = 700
"""Row from which on a file is changed."""
AT = datetime(2019, 12, 31, tzinfo=UTC)


def adjusted_closes(seed: int, decimals: int, steps: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """Closes in cents, and closes adjusted for the steps and rounded."""
    random = np.random.default_rng(seed)
    close = np.round(50 * np.exp(np.cumsum(random.normal(0, 0.02, len(DAYS)))), 2)
    factors = np.ones(len(DAYS))
    for row, factor in steps.items():
        factors[:row] *= factor
    return close, np.round(close * factors, decimals)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    decimals=st.integers(1, 7),
    steps=st.dictionaries(st.integers(1, 119), st.floats(0.9, 0.9999), max_size=6),
    start=st.integers(1, 119),
    how=st.sampled_from(["noise", "scale", "whole", "missing"]),
)
def test_later_rows_change_no_earlier_factor(
    seed: int, decimals: int, steps: dict[int, float], start: int, how: str
) -> None:
    close, adjusted = adjusted_closes(seed, decimals, steps)
    other, moved = close.copy(), adjusted.copy()
    noise = np.random.default_rng(seed + 1)
    if how == "noise":
        other[start:] *= np.exp(noise.normal(0, 0.1, len(DAYS) - start))
        moved[start:] *= np.exp(noise.normal(0, 0.1, len(DAYS) - start))
    elif how == "scale":
        moved[start:] *= 0.987654321
    elif how == "whole":
        other[start:], moved[start:] = np.ceil(other[start:]), np.ceil(moved[start:])
    else:
        moved[start:] = np.nan
    first_changed = DAYS[start].astype(object)
    before = [action for action in derive_factors(DAYS, close, adjusted) if action.ex_date < first_changed]
    assert [action for action in derive_factors(DAYS, other, moved) if action.ex_date < first_changed] == before


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    actions=st.lists(
        st.tuples(
            st.integers(0, 119), st.sampled_from([ActionKind.DIVIDEND, ActionKind.FACTOR]), st.floats(0.01, 0.99)
        ),
        max_size=8,
    ),
    start=st.integers(1, 119),
)
def test_later_actions_change_no_earlier_price(
    seed: int, actions: list[tuple[int, ActionKind, float]], start: int
) -> None:
    close, _ = adjusted_closes(seed, 2, {})
    listed = [Action(DAYS[row].astype(object), kind, value) for row, kind, value in actions]
    earlier = [action for action in listed if action.ex_date < DAYS[start].astype(object)]
    whole = close * growth_factors(DAYS, close, listed)
    known = close * growth_factors(DAYS, close, earlier)
    np.testing.assert_array_equal(whole[:start], known[:start])


def write_files(folder: Path, seed: int) -> None:
    """Two symbols with a dividend each quarter; from `CHANGED` on, the figures depend on the seed."""
    sessions = get_calendar("XNYS", date(2016, 1, 4), date(2019, 6, 28)).sessions(date(2016, 1, 4), date(2019, 6, 28))
    folder.mkdir()
    for number, symbol in enumerate(("AAA", "BBB")):
        random = np.random.default_rng(number)
        changes = random.normal(0, 0.015, ROWS)
        volume = np.round(np.exp(random.normal(14, 0.3, ROWS)))
        later = np.random.default_rng(1000 * seed + number)
        changes[CHANGED:] = later.normal(0, 0.02, ROWS - CHANGED)
        close = np.round(40 * np.exp(np.cumsum(changes)), 2)
        factors = np.ones(ROWS)
        for row in range(40 + number, ROWS, 63):
            factors[:row] *= 1 - 0.008 * (1.0 if row < CHANGED else 1.0 + seed)
        # A vendor rounds the adjusted closes on a basis that the later dividends have moved.
        adjusted = np.round(close * factors / factors[CHANGED - 1], 4 if seed == 0 else 6)
        adjusted[:CHANGED] = np.round(close[:CHANGED] * factors[:CHANGED] / factors[CHANGED - 1], 4)
        lines = ["date,open,high,low,close,adj_close,volume"]
        for day, price, base, shares in zip(sessions, close.tolist(), adjusted.tolist(), volume.tolist(), strict=False):
            lines.append(f"{day},{price},{price * 1.01:.4f},{price * 0.99:.4f},{price},{base},{shares:.0f}")
        (folder / f"{symbol}.csv").write_text("\n".join(lines) + "\n")


def panel_of(folder: Path) -> Panel:
    fetched, missing = fetch_all(FilesSource(folder), ["AAA", "BBB"], Settings(source="sample"), AT)
    assert missing == {}
    (group,) = group_panels(fetched, ())
    return group.panel


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders, `0` and `1`, that differ from row `CHANGED` on."""
    made = tmp_path_factory.mktemp("folders")
    for seed in (0, 1):
        write_files(made / str(seed), seed)
    return made


@pytest.fixture(scope="module")
def panels(folder: Path) -> tuple[Panel, Panel]:
    """The panels of both folders."""
    first, second = (panel_of(folder / str(seed)) for seed in (0, 1))
    return first, second


def test_the_canary_has_dividends_and_a_change(panels: tuple[Panel, Panel], folder: Path) -> None:
    for one, other in zip(panels[0].histories, panels[1].histories, strict=True):
        np.testing.assert_array_equal(one.close[:CHANGED], other.close[:CHANGED])
        assert (one.close[CHANGED:] != other.close[CHANGED:]).any()
        raw = FilesSource(folder / "0").fetch(one.symbol, None, AT).bars["close"].to_numpy()
        # Eleven dividends of 0.8 %: 1 / 0.992 ** 11 = 1.0924.
        assert one.close[CHANGED - 1] / raw[CHANGED - 1] == pytest.approx(1.0924, abs=2e-4)


def test_a_networks_forecasts_before_the_change_are_the_same_bits(panels: tuple[Panel, Panel], tmp_path: Path) -> None:
    config = ModelConfig("lstm", Strategy.MULTI_STEP, units=3, seeds=(0,), references=())
    made = save_network(config, 5, tmp_path)
    network = load_forecaster(made.path, made.sha256)
    assert isinstance(network, NetworkForecaster)
    cut = panels[0].histories[0].final_at[CHANGED - 1]
    assert Pipeline.fit(panels[0], config, cut) == Pipeline.fit(panels[1], config, cut)
    forecasts = []
    for panel in panels:
        windows = network.pipeline.windows(panel, require_targets=False)
        windows = windows.select(windows.final_at <= cut)
        forecasts.append(network.quantiles(windows))
    assert forecasts[0].shape == (2 * (CHANGED - 79), 3, 7)
    np.testing.assert_array_equal(*forecasts)


def test_a_baselines_forecasts_before_the_change_are_the_same_bits(panels: tuple[Panel, Panel]) -> None:
    strategy = Strategy.MULTI_STEP
    cut = panels[0].histories[0].final_at[CHANGED - 1]
    rows = [sigma_rows(panel, strategy.horizon) for panel in panels]
    rows = [each.select(each.final_at <= cut) for each in rows]
    for fit in (fit_garch, fit_drift, lambda _panel, strategy, _cut: historical(strategy)):
        first, second = (
            fit(panel, strategy, cut).forecast_rows(panel, own) for panel, own in zip(panels, rows, strict=True)
        )
        assert np.isfinite(first).any()
        np.testing.assert_array_equal(first, second)
    walks = [fit_random_walk(panel, random_walk_config(strategy), cut) for panel in panels]
    assert walks[0] == walks[1]
