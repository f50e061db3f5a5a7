"""Convolutions, ConvLSTM2D and the spatiotemporal networks in NumPy: literal numbers, and equal to Keras."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from models.errors import ArtifactError, UnknownNetwork
from models.networks.spatiotemporal.config import SpatiotemporalSpec
from models.networks.spatiotemporal.convolution_numpy import ConvGeometry, conv_lstm, convolve, convolve_transposed
from models.networks.spatiotemporal.registry import (
    SPATIOTEMPORAL_NETWORKS,
    SpatiotemporalDefinition,
    forward_checked,
    spatiotemporal_network,
    spatiotemporal_weights,
    with_kept_median,
)
from tests.support.float32 import assert_equal_in_float32

DRAW = np.random.default_rng(3)


def random(*shape: int) -> np.ndarray:
    return DRAW.normal(scale=0.5, size=shape).astype(np.float32)


def test_literal_convolution_same_and_valid() -> None:
    line = np.array([1, 2, 3, 4], np.float32).reshape(1, 4, 1)
    kernel = np.array([1, 10, 100], np.float32).reshape(3, 1, 1)
    # Position 0: 10 * 1 + 100 * 2; position 1: 1 + 20 + 300; ...; position 3: 3 + 40.
    np.testing.assert_array_equal(convolve(line, kernel, ConvGeometry((1,)))[0, :, 0], [210, 321, 432, 43])
    np.testing.assert_array_equal(convolve(line, kernel, ConvGeometry((1,), "valid"))[0, :, 0], [321, 432])
    # With strides of 2 one zero is needed, and it is at the end.
    np.testing.assert_array_equal(convolve(line, kernel, ConvGeometry((2,)))[0, :, 0], [321, 43])


def test_literal_transposed_convolution() -> None:
    line = np.array([1, 2], np.float32).reshape(1, 2, 1)
    kernel = np.array([1, 10, 100, 1000], np.float32).reshape(4, 1, 1)
    # The full result is 1, 10, 100 + 2, 1000 + 20, 200, 2000; one cell is cropped at each end.
    np.testing.assert_array_equal(convolve_transposed(line, kernel, (2,))[0, :, 0], [10, 102, 1020, 200])


@pytest.mark.parametrize("size", [(5, 7, 6), (4, 8, 9)])
@pytest.mark.parametrize("strides", [(1, 1, 1), (1, 2, 2), (2, 1, 3)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_convolution_equals_keras(size: tuple[int, ...], strides: tuple[int, ...], padding: str) -> None:
    frames, kernel = random(2, *size, 3), random(3, 2, 3, 3, 4)
    expected = keras.ops.conv(frames, kernel, strides, padding)
    assert_equal_in_float32(convolve(frames, kernel, ConvGeometry(strides, padding)), np.asarray(expected), [kernel], 1)


@pytest.mark.parametrize(("taps", "strides"), [((1, 4, 4), (1, 2, 2)), ((1, 4, 1), (1, 2, 1)), ((3, 3, 3), (1, 2, 1))])
def test_transposed_convolution_equals_keras(taps: tuple[int, ...], strides: tuple[int, ...]) -> None:
    maps, kernel = random(2, 3, 5, 4, 3), random(*taps, 6, 3)
    expected = keras.ops.conv_transpose(maps, kernel, strides, "same")
    # A cell is a sum over at most all taps and channels: the axis of filters is the second to last.
    summed = np.swapaxes(kernel, -1, -2)
    assert_equal_in_float32(convolve_transposed(maps, kernel, strides), np.asarray(expected), [summed], 1)


def test_a_conv_lstm_of_one_cell_has_the_lstms_literal_outputs() -> None:
    sequence = np.array([[0, 0], [0, 1], [0, 0], [1, 1]], np.float32).reshape(1, 4, 1, 1, 2)
    halves = [
        np.full((1, 1, 2, 4), 0.5, np.float32),
        np.full((1, 1, 1, 4), 0.5, np.float32),
        np.array([0, 1, 0, 0], np.float32),
    ]
    outputs = conv_lstm(halves, sequence, ConvGeometry((1, 1)), lambda values: np.clip(0.2 * values + 0.5, 0, 1))
    np.testing.assert_allclose(outputs[0, :, 0, 0, 0], [0.0, 0.16222608, 0.12174768, 0.46444273], atol=1e-6)


@pytest.mark.parametrize(("strides", "padding"), [((1, 1), "same"), ((2, 1), "same"), ((1, 2), "valid")])
def test_conv_lstm_equals_keras(strides: tuple[int, int], padding: str) -> None:
    frames = random(2, 4, 7, 6, 3)
    layer = keras.layers.ConvLSTM2D(5, (3, 2), strides, padding, recurrent_activation="sigmoid", return_sequences=True)
    layer.build(frames.shape)
    layer.set_weights([random(*array.shape) for array in layer.get_weights()])
    found = conv_lstm(layer.get_weights(), frames, ConvGeometry(strides, padding))
    assert_equal_in_float32(found, np.asarray(layer(frames)), layer.get_weights(), depth=4)


NETWORKS = list(SPATIOTEMPORAL_NETWORKS.values())


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
@pytest.mark.parametrize(
    "spec",
    [
        SpatiotemporalSpec(5, 11, 6, 2, 12, 3, 7),
        SpatiotemporalSpec(3, 40, 4, 2, 10, 1),
        SpatiotemporalSpec(2, 1, 3, 2, 8, 3),
    ],
)
def test_every_network_equals_keras(network: SpatiotemporalDefinition, spec: SpatiotemporalSpec) -> None:
    model = network.build(spec)
    model.set_weights([random(*array.shape) for array in model.get_weights()])
    frames = random(4, spec.frames, spec.rows, spec.columns, 2)
    found = network.forward(spec, spatiotemporal_weights(model), frames)
    assert found.dtype == np.float32
    assert found.shape == (4, spec.rows, spec.horizon, 7)
    # The encoder's and decoder's convolutions, two normalisations, two LSTMs, latent, dense layer and head.
    depth = 2 * len(spec.halvings) + 1 + 2 + spec.frames + spec.horizon + 3
    assert_equal_in_float32(found, np.asarray(model(frames)), model.get_weights(), depth)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_each_sample_alone_equals_itself_in_the_batch(network: SpatiotemporalDefinition) -> None:
    spec = SpatiotemporalSpec(4, 9, 5, 2, 8, 3)
    weights, frames = spatiotemporal_weights(network.build(spec)), random(3, 4, 9, 5, 2)
    batch = network.forward(spec, weights, frames)
    for sample in range(3):
        alone = network.forward(spec, weights, frames[sample : sample + 1])
        np.testing.assert_array_equal(alone[0], batch[sample])


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_quantiles_never_cross(network: SpatiotemporalDefinition) -> None:
    spec = SpatiotemporalSpec(4, 9, 5, 2, 8, 3)
    weights = {name: 3 * random(*array.shape) for name, array in spatiotemporal_weights(network.build(spec)).items()}
    assert (np.diff(network.forward(spec, weights, 5 * random(6, 4, 9, 5, 2)), axis=-1) >= 0).all()


def test_arrays_that_do_not_fit_are_errors_with_a_clear_message() -> None:
    network, spec = spatiotemporal_network("conv_lstm"), SpatiotemporalSpec(4, 9, 5, 2, 8, 3)
    weights, frames = spatiotemporal_weights(network.build(spec)), random(1, 4, 9, 5, 2)
    with pytest.raises(ArtifactError, match="do not fit frames of"):
        forward_checked(network, spec, weights, frames[:, :, :, :4])
    del weights["conv_lstm.1"]
    with pytest.raises(ArtifactError, match=r"the weights of conv_lstm lack conv_lstm\.1"):
        forward_checked(network, spec, weights, frames)


def test_an_unknown_name_lists_the_registered_ones() -> None:
    with pytest.raises(UnknownNetwork, match=r"named 'lstm'; choose one of: conv3d_lstm, .*, conv_lstm"):
        spatiotemporal_network("lstm")


def test_a_median_share_moves_all_quantiles_towards_the_targets_median() -> None:
    network, spec = spatiotemporal_network("conv3d_lstm"), SpatiotemporalSpec(4, 9, 5, 2, 8, 2)
    weights, frames = spatiotemporal_weights(network.build(spec)), random(3, 4, 9, 5, 2)
    whole = network.forward(spec, weights, frames)
    medians = np.array([0.5, -1.0])
    kept = forward_checked(network, spec, with_kept_median(weights, 0.25, medians), frames)
    np.testing.assert_allclose(kept[..., 3], 0.25 * whole[..., 3] + 0.75 * medians, atol=1e-6)
    np.testing.assert_allclose(np.diff(kept, axis=-1), np.diff(whole, axis=-1), atol=1e-6)
    assert with_kept_median(weights, 1.0, medians) is weights


def test_serving_imports_no_framework() -> None:
    code = (
        "import sys, models.forecasting.spatiotemporal.forecaster as served;"
        "import models.networks.spatiotemporal.registry as networks;"
        "assert served.SpatiotemporalForecaster and len(networks.SPATIOTEMPORAL_NETWORKS) == 4;"
        "sys.exit(bool({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_no_spatiotemporal_network_is_stateful(network: SpatiotemporalDefinition) -> None:
    assert [network.window(lookback) for lookback in (1, 5, 60)] == [1, 5, 60]
