"""The network `linear`: literal numbers, NumPy equal to Keras, errors."""

import numpy as np
import pytest

from models.errors import ArtifactError
from models.networks import get_network
from models.networks.config import NetworkSpec
from models.networks.linear_numpy import forward_linear
from tests.support.float32 import assert_equal_in_float32


def test_the_median_is_the_sum_of_inputs_and_the_widths_are_softplus() -> None:
    kernel = np.zeros((4, 7), np.float32)
    kernel[:, 3] = [1, 10, 100, 1000]
    weights = {"head_kernel": kernel, "head_bias": np.zeros(7, np.float32)}
    answer = forward_linear(weights, np.array([[[1, 2], [3, 4]]], np.float32))
    # oldest session first: 1 * 1 + 2 * 10 + 3 * 100 + 4 * 1000; each width is softplus(0) = log 2 = 0.693147
    expected = 4321 + 0.693147 * np.arange(-3, 4)
    np.testing.assert_allclose(answer, expected[None, None], rtol=1e-6)


@pytest.mark.parametrize(("horizon", "lookback"), [(1, 1), (3, 5)])
def test_numpy_equals_keras(horizon: int, lookback: int) -> None:
    network = get_network("linear")
    model = network.build(NetworkSpec(lookback=lookback, features=6, units=4, horizon=horizon, seed=3))
    windows = np.random.default_rng(1).normal(size=(50, lookback, 6)).astype(np.float32)
    expected = np.asarray(model(windows))
    assert expected.shape == (50, horizon, 7)
    found = network.forward(network.weights(model), windows)
    assert_equal_in_float32(found, expected, model.get_weights(), depth=1)


def test_weights_of_another_shape_are_an_error() -> None:
    weights = {"head_kernel": np.zeros((10, 7), np.float32), "head_bias": np.zeros(7, np.float32)}
    with pytest.raises(ArtifactError, match="trained on 10 inputs, received 5 sessions of 3"):
        forward_linear(weights, np.zeros((1, 5, 3), np.float32))
    with pytest.raises(ArtifactError, match="lack head_bias"):
        forward_linear({"head_kernel": weights["head_kernel"]}, np.zeros((1, 5, 2), np.float32))
