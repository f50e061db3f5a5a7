"""Every registered network over windows: trained, saved, loaded, equal to Keras, with quantiles that ascend."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.config import ModelConfig, Strategy
from models.forecasting.artifact import Artifact, save_artifact
from models.forecasting.network_forecaster import NetworkForecaster, load_forecaster
from models.networks import WINDOW_NETWORKS, get_network
from models.networks.config import NetworkSpec
from models.networks.lstm_numpy import Weights
from models.preprocessing.pipeline import Pipeline
from models.training.fit_network import masked_columns
from models.training.window_loop import CompiledLoop
from tests.support.factories import SPY, VIX, make_panel

NAMES = list(WINDOW_NETWORKS)
PANEL = make_panel(420, seed=12)
CUT_AT = PANEL.histories[0].final_at[300]
LOOKBACK, FEATURES, UNITS = 4, 5, 3


def recipe_of(name: str) -> ModelConfig:
    lookback = 8 if WINDOW_NETWORKS[name].warm_up else LOOKBACK
    fields = {"units": UNITS, "seeds": (5, 6), "batch_size": 128}
    return ModelConfig(name, Strategy.MULTI_STEP, lookback=lookback, references=(SPY, VIX), **fields)


def test_there_are_window_networks() -> None:
    assert {"lstm", "stacked_lstm", "encoder_decoder", "stateful_lstm"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_keras_trained_is_what_numpy_serves(name: str, tmp_path: Path) -> None:
    config = recipe_of(name)
    pipeline = Pipeline.fit(PANEL, config, CUT_AT)
    windows = pipeline.windows(PANEL, require_targets=True)
    loop = CompiledLoop(config, windows.select(windows.final_at <= CUT_AT), masked_columns(pipeline))
    trained: dict[int, Weights] = {}
    in_keras = []
    scale = windows.sigma[:, None] * np.sqrt(np.arange(1, config.horizon + 1))
    for seed in config.seeds:
        loop.restart(seed)
        started = loop.weights()
        for epoch in (1, 2):
            assert np.isfinite(loop.epoch(seed, epoch))
        trained[seed] = loop.weights()
        assert any(not np.allclose(started[key], trained[seed][key], atol=1e-4) for key in started)
        in_keras.append(np.asarray(loop._model(windows.gather()), np.float64) * scale[:, :, None])
    path, sha256 = save_artifact(Artifact(config, pipeline.to_dict(), trained, {}), tmp_path)
    loaded = load_forecaster(path, sha256)
    assert isinstance(loaded, NetworkForecaster)
    assert loaded.config == config
    quantiles = loaded.quantiles(windows)
    np.testing.assert_allclose(quantiles, np.mean(in_keras, axis=0), atol=1e-6)
    assert (np.diff(quantiles, axis=-1) >= 0).all()
    served = loaded.forecast(PANEL)
    assert served.symbols == ("AAA", "BBB", "7203.T")
    assert served.quantiles.shape == (3, config.horizon, 7)


@lru_cache
def shapes(name: str, horizon: int) -> dict[str, tuple[int, ...]]:
    model = get_network(name).build(NetworkSpec(LOOKBACK, FEATURES, UNITS, horizon))
    return {key: array.shape for key, array in get_network(name).weights(model).items()}


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    horizon=st.sampled_from([1, 3]),
    windows=arrays(np.float32, (2, LOOKBACK, FEATURES), elements=st.floats(-1e3, 1e3, width=32)),
    seed=st.integers(0, 2**32 - 1),
    scale=st.floats(0.01, 100.0),
)
def test_no_weights_and_windows_make_quantiles_cross(
    name: str, horizon: int, windows: np.ndarray, seed: int, scale: float
) -> None:
    draw = np.random.default_rng(seed)
    weights = {
        key: draw.normal(scale=scale, size=shape).astype(np.float32) for key, shape in shapes(name, horizon).items()
    }
    quantiles = get_network(name).forward(weights, windows)
    assert quantiles.shape == (2, horizon, 7)
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=-1) >= 0).all()
