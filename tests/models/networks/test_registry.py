"""Registered networks over windows: literal numbers, shapes, samples, seeds, and their NumPy twins."""

import numpy as np
import pytest

from models.config import MAX_LOOKBACK, ModelConfig, Strategy
from models.errors import ArtifactError
from models.networks import WINDOW_NETWORKS, get_network
from models.networks.config import NetworkSpec
from models.networks.encoder_decoder import build_encoder_decoder
from models.networks.lstm import build_lstm
from models.networks.lstm_numpy import Weights
from models.networks.stacked_lstm import build_stacked_lstm
from models.networks.stateful_lstm import build_stateful_lstm
from tests.support.float32 import assert_equal_in_float32
from tests.support.paths import ROOT

NAMES = ("lstm", "stacked_lstm", "encoder_decoder", "stateful_lstm")
BUILDERS = {
    "lstm": build_lstm,
    "stacked_lstm": build_stacked_lstm,
    "encoder_decoder": build_encoder_decoder,
    "stateful_lstm": build_stateful_lstm,
}
FEATURES, UNITS = 4, 6
WINDOW = np.array([[[1.0], [2.0]]], np.float32)

# Expected quantiles for one unit and one input: kernels 0.5, biases 0 but 1 for the forget gate, head 0.5.
STACKED = [-2.1579341, -1.3913238, -0.6247135, 0.1418968, 0.9085071, 1.6751174, 2.4417277]
DECODED = [
    [-2.1000465, -1.3866945, -0.6733426, 0.0400094, 0.7533613, 1.4667133, 2.1800652],
    [-2.1207149, -1.3878144, -0.6549140, 0.0779864, 0.8108869, 1.5437873, 2.2766877],
    [-2.1409028, -1.3895019, -0.6381009, 0.1133000, 0.8647009, 1.6161019, 2.3675028],
]
STATEFUL = [-2.2337583, -1.4029681, -0.5721778, 0.2586124, 1.0894027, 1.9201929, 2.7509832]


def halves(layer: str) -> Weights:
    return {
        f"{layer}kernel": np.full((1, 4), 0.5, np.float32),
        f"{layer}recurrent": np.full((1, 4), 0.5, np.float32),
        f"{layer}bias": np.array([0, 1, 0, 0], np.float32),
    }


HEAD = {"head_kernel": np.full((1, 7), 0.5, np.float32), "head_bias": np.zeros(7, np.float32)}
LITERAL: dict[str, tuple[Weights, list[list[float]]]] = {
    "stacked_lstm": (
        {
            **halves("first_"),
            **halves("second_"),
            **HEAD,
            "steps_kernel": np.array([[0.25], [0.75]], np.float32),
            "steps_bias": np.array([0.1], np.float32),
        },
        [STACKED],
    ),
    "encoder_decoder": ({**halves("encoder_"), **halves("decoder_"), **HEAD, "steps": np.arange(3.0)}, DECODED),
    "stateful_lstm": ({**halves(""), **HEAD}, [STATEFUL]),
    "lstm": ({**halves(""), **HEAD}, [STATEFUL]),
}


def randomised(model: object, seed: int = 5) -> None:
    draw = np.random.default_rng(seed)
    model.set_weights([draw.normal(scale=0.5, size=w.shape).astype(np.float32) for w in model.get_weights()])


def windows(count: int, lookback: int) -> np.ndarray:
    return np.random.default_rng(lookback).normal(size=(count, lookback, FEATURES)).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_literal_forecast_in_numpy_and_in_keras(name: str) -> None:
    weights, expected = LITERAL[name]
    np.testing.assert_allclose(get_network(name).forward(weights, WINDOW)[0], expected, atol=1e-6)
    model = get_network(name).build(NetworkSpec(2, 1, 1, len(expected)))
    # The arrays have the order of Keras here; `steps` only gives the number of steps and is not an array of Keras.
    model.set_weights([array for key, array in weights.items() if key != "steps"])
    np.testing.assert_allclose(np.asarray(model(WINDOW))[0], expected, atol=1e-6)


@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("lookback", [1, 3, 5, 22])
@pytest.mark.parametrize("name", NAMES)
def test_any_lookback_gives_any_horizon_and_numpy_equals_keras(name: str, lookback: int, horizon: int) -> None:
    network = get_network(name)
    model = network.build(NetworkSpec(lookback, FEATURES, UNITS, horizon, seed=11))
    randomised(model)
    given = windows(9, lookback)
    weights = network.weights(model)
    batch = network.forward(weights, given)
    assert batch.shape == (9, horizon, 7)
    assert batch.dtype == np.float32
    # Two LSTMs over the window or the steps at most, and two dense layers.
    depth = 2 * lookback + horizon + 2
    assert_equal_in_float32(batch, np.asarray(model(given)), model.get_weights(), depth)
    assert (np.diff(batch, axis=-1) >= 0).all()
    for row in range(9):
        np.testing.assert_array_equal(network.forward(weights, given[row : row + 1])[0], batch[row])


@pytest.mark.parametrize("name", NAMES)
def test_an_unrolled_network_equals_a_loop(name: str) -> None:
    spec = NetworkSpec(8, FEATURES, UNITS, 3, seed=11)
    unrolled, looped = BUILDERS[name](spec), BUILDERS[name](spec, unroll=False)
    randomised(unrolled)
    looped.set_weights(unrolled.get_weights())
    given = windows(20, 8)
    expected = np.asarray(looped(given))
    assert_equal_in_float32(np.asarray(unrolled(given)), expected, looped.get_weights(), 2 * 8 + 3 + 2)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_sessions_matters(name: str) -> None:
    network = get_network(name)
    model = network.build(NetworkSpec(5, FEATURES, UNITS, 3))
    randomised(model)
    weights, given = network.weights(model), windows(4, 5)
    assert not np.allclose(network.forward(weights, given), network.forward(weights, given[:, ::-1]), atol=1e-2)


@pytest.mark.parametrize("name", NAMES)
def test_initial_weights_depend_only_on_the_seed(name: str) -> None:
    def start(seed: int) -> np.ndarray:
        model = get_network(name).build(NetworkSpec(5, FEATURES, UNITS, 3, seed))
        return np.concatenate([array.ravel() for array in model.get_weights()])

    np.testing.assert_array_equal(start(1), start(1))
    assert not np.allclose(start(1), start(2))


@pytest.mark.parametrize("name", NAMES)
def test_initial_weights_give_quantiles_near_a_normal_distribution(name: str) -> None:
    model = get_network(name).build(NetworkSpec(5, FEATURES, UNITS, 3))
    # A head of zeros adds softplus(0) = ln 2 outwards from a median of 0.
    given = np.zeros((1, 5, FEATURES), np.float32)
    expected = np.tile(np.log(2.0) * np.arange(-3, 4), (1, 3, 1))
    np.testing.assert_allclose(np.asarray(model(given)), expected, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_array_and_a_wrong_number_of_inputs_are_errors(name: str) -> None:
    weights = dict(LITERAL[name][0])
    with pytest.raises(ArtifactError, match=f"the network {name} was trained on 1 inputs per session, received 2"):
        get_network(name).forward(weights, np.zeros((1, 2, 2), np.float32))
    del weights["head_bias"]
    with pytest.raises(ArtifactError, match=f"the weights of {name} lack head_bias"):
        get_network(name).forward(weights, WINDOW)


def test_the_lookback_of_the_stacked_network_is_fixed() -> None:
    with pytest.raises(ValueError, match="mismatch"):
        get_network("stacked_lstm").forward(LITERAL["stacked_lstm"][0], np.zeros((1, 3, 1), np.float32))


@pytest.mark.parametrize("name", NAMES)
def test_a_config_gives_the_network_and_its_sizes(name: str) -> None:
    config = ModelConfig(name, Strategy.MULTI_STEP, lookback=7, units=3)
    model = get_network(config.forecaster).build(NetworkSpec.of(config, FEATURES, seed=2))
    assert (model.name, model.input_shape, model.output_shape) == (name, (None, 7, FEATURES), (None, 3, 7))


def test_only_the_stateful_network_needs_a_warm_up() -> None:
    assert {name: WINDOW_NETWORKS[name].window(5) for name in NAMES} == {
        "lstm": 5,
        "stacked_lstm": 5,
        "encoder_decoder": 5,
        "stateful_lstm": 40,
    }
    assert WINDOW_NETWORKS["stateful_lstm"].window(60) == MAX_LOOKBACK


def test_each_network_of_this_package_has_its_own_file() -> None:
    folder = ROOT / "models" / "networks"
    assert [name for name in NAMES if not (folder / f"{name}.py").exists()] == []
