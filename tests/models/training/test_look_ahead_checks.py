"""Look-ahead checks: skill where none is possible means that the future leaked into a forecast.

Each check also runs on data with a leak, or with something to learn, which shows that it can fail.
"""

from dataclasses import replace

import numpy as np
import pytest

from models.config import ModelConfig, Strategy
from models.forecasting.network_forecaster import NetworkForecaster
from models.metrics.scoring_rules import pinball
from models.metrics.significance import diebold_mariano
from models.preprocessing.pipeline import Pipeline, cut_windows
from models.preprocessing.price_history import FloatArray, Panel, PriceHistory
from models.preprocessing.splits import holdout_spans
from models.preprocessing.windows import PooledWindows
from models.training.fit_network import fit_network
from models.training.holdout import actual_returns
from models.training.window_loop import CompiledLoop
from tests.support.factories import frame_of_closes, make_frame, make_panel

SESSIONS = 1300
SIGMA = 0.02
NEVER = np.datetime64("2100-01-01T00:00:00")
CONFIG = ModelConfig("lstm", Strategy.MULTI_STEP, units=8, seeds=(3,), max_epochs=6, batch_size=256)
NORMAL = np.array([-1.959964, -1.281552, -0.67449, 0.0, 0.67449, 1.281552, 1.959964])
NAMES = ("AAA", "BBB", "CCC", "DDD")


def network_forecasts(panel: Panel) -> tuple[PooledWindows, FloatArray]:
    """Return the test span of a panel and a network's forecasts of it."""
    spans = holdout_spans(cut_windows(panel, CONFIG, require_targets=True), NEVER)
    fitted = fit_network(panel, CONFIG, spans, lambda _: None)
    windows = fitted.windows.select(spans.test)
    return windows, fitted.forecaster.quantiles(windows)


def oracle(windows: PooledWindows) -> FloatArray:
    """Return the best forecasts if returns are normal with deviation `SIGMA` and nothing else can be known."""
    steps = np.sqrt(np.arange(1, windows.targets.shape[1] + 1))
    return np.broadcast_to(SIGMA * steps[:, None] * NORMAL, (len(windows), len(steps), 7))


def advantage(windows: PooledWindows, quantiles: FloatArray) -> float:
    """Return the Diebold-Mariano statistic against the oracle: above 0 if the forecasts lose less than it."""
    actual = actual_returns(windows)
    own, best = (pinball(actual, each).mean(axis=1) for each in (quantiles, oracle(windows)))
    return -diebold_mariano(windows.as_of, own, best, 3).statistic


def leaking(frame: PriceHistory) -> PriceHistory:
    """Return the history with each session's open set to the next session's close: the future in an input."""
    opened = np.append(frame.close[1:], frame.close[-1])
    high, low = np.maximum(frame.high, opened), np.minimum(frame.low, opened)
    return replace(frame, open=opened, high=high, low=low)


@pytest.fixture(scope="module")
def random_walks() -> Panel:
    return make_panel(SESSIONS, seed=21, symbols=NAMES, tokyo=())


def test_no_skill_on_simulated_random_walks(random_walks: Panel) -> None:
    windows, quantiles = network_forecasts(random_walks)
    assert advantage(windows, quantiles) < 2.5
    actual = actual_returns(windows)
    squared, still = (actual - quantiles[..., 3]) ** 2, actual**2
    test = diebold_mariano(windows.as_of, squared.mean(axis=1), still.mean(axis=1), 3)
    assert test.statistic > -2.5


def test_a_leak_of_the_future_shows_as_skill(random_walks: Panel) -> None:
    panel = Panel(tuple(leaking(frame) for frame in random_walks.histories), random_walks.references)
    windows, quantiles = network_forecasts(panel)
    assert advantage(windows, quantiles) > 5.0


def momentum(symbol: str, seed: int) -> PriceHistory:
    """Return a history in which four fifths of each return recur in the next session: much can be learned."""
    draw = np.random.default_rng(seed)
    returns = draw.normal(0.0, SIGMA * 0.6, SESSIONS)
    for session in range(1, SESSIONS):
        returns[session] += 0.8 * returns[session - 1]
    return frame_of_closes(50.0 * np.exp(np.cumsum(returns)), symbol)


def trained_on(windows: PooledWindows, pipeline: Pipeline) -> NetworkForecaster:
    loop = CompiledLoop(CONFIG, windows, np.zeros((0, len(pipeline.feature_names)), np.float32))
    loop.restart(3)
    for epoch in range(1, 7):
        loop.epoch(3, epoch)
    return NetworkForecaster(CONFIG, pipeline, {3: loop.weights()})


def test_skill_vanishes_with_shuffled_targets() -> None:
    panel = Panel(tuple(momentum(name, seed) for seed, name in enumerate(NAMES)), {})
    spans = holdout_spans(cut_windows(panel, CONFIG, require_targets=True), NEVER)
    pipeline = Pipeline.fit(panel, CONFIG, spans.train_until)
    windows = pipeline.windows(panel, require_targets=True)
    training, test = windows.select(spans.train), windows.select(spans.test)
    order = np.random.default_rng(0).permutation(len(training))
    shuffled = replace(training, targets=training.targets[order])
    actual = actual_returns(test)
    skill, shuffled_skill = (
        1 - np.sum((actual - trained_on(each, pipeline).quantiles(test)[..., 3]) ** 2) / np.sum(actual**2)
        for each in (training, shuffled)
    )
    assert skill > 0.2
    assert shuffled_skill < 0.02


def test_a_price_history_of_the_factory_is_a_random_walk() -> None:
    returns = np.diff(np.log(make_frame("AAA", 5000, 1).close))
    assert abs(np.corrcoef(returns[1:], returns[:-1])[0, 1]) < 0.04
    assert returns.std() == pytest.approx(SIGMA, rel=0.05)
