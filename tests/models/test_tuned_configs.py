"""The tuned config, and the parts of training that it changes."""

import numpy as np
import pytest

from models.config import Inputs, ModelConfig, Schedule, Strategy, Weighting
from models.errors import ArtifactError
from models.networks.lstm_numpy import forward_lstm
from models.training.fit_seed import cosine_rate, with_median_share
from models.tuned_configs import tuned
from tests.support.factories import SPY, VIX

MEDIANS = np.array([0.01, 0.02, 0.03], np.float32)


def arrays(seed: int = 1, features: int = 4, units: int = 3) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = {
        "kernel": (features, 4 * units),
        "recurrent": (units, 4 * units),
        "bias": (4 * units,),
        "head_kernel": (units, 21),
        "head_bias": (21,),
    }
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def test_the_tuned_lstm_keeps_the_given_sizes_and_references() -> None:
    plain = ModelConfig("lstm", Strategy.ONE_STEP, lookback=7, references=(SPY, VIX), seeds=(4, 5))
    config = tuned(plain)
    kept = ("forecaster", "strategy", "lookback", "references", "seeds", "units")
    assert [getattr(config, name) for name in kept] == [getattr(plain, name) for name in kept]
    assert (config.inputs, config.weighting, config.schedule) == (Inputs.EXTENDED, Weighting.EVEN, Schedule.COSINE)
    assert config.hash() != plain.hash()


def test_other_networks_keep_their_defaults() -> None:
    plain = ModelConfig("random_walk", Strategy.MULTI_STEP)
    assert tuned(plain) is plain


def test_a_config_survives_json_and_an_older_one_has_core_inputs() -> None:
    config = tuned(ModelConfig("lstm", Strategy.MULTI_STEP, references=(SPY, VIX)))
    assert ModelConfig.from_dict(config.to_dict()) == config
    older = ModelConfig("lstm", Strategy.MULTI_STEP).to_dict()
    for name in ("inputs", "weighting", "schedule", "median_share"):
        del older[name]
    assert ModelConfig.from_dict(older) == ModelConfig("lstm", Strategy.MULTI_STEP)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_its_bounds_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"median_share must be 0\.\.1"):
        ModelConfig("lstm", Strategy.MULTI_STEP, median_share=share)


def test_half_a_median_share_moves_every_quantile_half_the_way() -> None:
    weights, windows = arrays(), np.random.default_rng(2).normal(size=(6, 5, 4)).astype(np.float32)
    trained = forward_lstm(weights, windows)
    halved = forward_lstm(with_median_share(weights, MEDIANS, 0.5), windows)
    moved = 0.5 * (trained[:, :, 3] - MEDIANS)
    np.testing.assert_allclose(halved, trained - moved[:, :, None], atol=1e-5)
    none = forward_lstm(with_median_share(weights, MEDIANS, 0.0), windows)
    np.testing.assert_allclose(none[:, :, 3], np.tile(MEDIANS, (6, 1)), atol=1e-6)
    assert with_median_share(weights, MEDIANS, 1.0) is weights


def test_a_median_share_does_not_change_the_given_arrays() -> None:
    weights = arrays()
    before = {name: array.copy() for name, array in weights.items()}
    with_median_share(weights, MEDIANS, 0.25)
    for name, array in before.items():
        np.testing.assert_array_equal(weights[name], array)


def test_a_median_share_needs_the_head_over_all_steps() -> None:
    weights = arrays()
    with pytest.raises(ArtifactError, match="no quantile head for 3 steps"):
        with_median_share({**weights, "head_bias": weights["head_bias"][:7]}, MEDIANS, 0.5)
    del weights["head_kernel"]
    with pytest.raises(ArtifactError, match="median_share of 1"):
        with_median_share(weights, MEDIANS, 0.5)


def test_the_learning_rate_follows_half_a_cosine() -> None:
    config = ModelConfig("lstm", Strategy.MULTI_STEP, learning_rate=0.008, max_epochs=2, schedule=Schedule.COSINE)
    # 0.004 * (1 + cos(pi / 4)), 0.004 * (1 + cos(3 pi / 4))
    assert [cosine_rate(config, epoch) for epoch in (1, 2)] == pytest.approx([0.00682843, 0.00117157], rel=1e-5)
