"""Spatiotemporal networks in Keras: shapes, layouts, any horizon, seeds, the random latent."""

import keras
import numpy as np
import pytest

from models.networks.spatiotemporal.config import SpatiotemporalSpec
from models.networks.spatiotemporal.conv3d_lstm import Conv3DVariant, build_frames_conv3d_lstm, future_maps
from models.networks.spatiotemporal.conv_lstm import RowsConvLSTM, conv_lstm_layer
from models.networks.spatiotemporal.latent import KL_WEIGHT, Latent
from models.networks.spatiotemporal.registry import SPATIOTEMPORAL_NETWORKS, spatiotemporal_weights

NAMES = sorted(SPATIOTEMPORAL_NETWORKS)
FRAMES = np.random.default_rng(1).random((3, 5, 9, 7, 2)).astype(np.float32)


def test_conv_lstm_returns_five_or_four_dimensions() -> None:
    spec = SpatiotemporalSpec(5, 9, 7, 2, units=6, horizon=1)
    every = conv_lstm_layer("every", spec, 0, return_sequences=True)(FRAMES)
    last = conv_lstm_layer("last", spec, 0, return_sequences=False)(FRAMES)
    assert every.shape == (3, 5, 9, 7, 6)
    assert last.shape == (3, 9, 7, 6)
    # With the same seed the weights are equal: the last of all outputs is the last output.
    np.testing.assert_allclose(np.asarray(every)[:, -1], np.asarray(last), atol=1e-6)


@pytest.mark.parametrize("rows", [1, 2, 3, 9])
@pytest.mark.parametrize("frames", [1, 5])
def test_the_products_of_one_column_are_the_convolutions_of_keras(rows: int, frames: int) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    spec = SpatiotemporalSpec(frames, rows, 1, 2, units=6, horizon=1)
    columns = tensorflow.constant(FRAMES[:, :frames, :rows, :1])
    layers = [
        conv_lstm_layer("plain", spec, 4, return_sequences=False),
        conv_lstm_layer("products", spec, 4, return_sequences=False, layer=RowsConvLSTM),
    ]
    outputs, gradients = [], []
    for layer in layers:
        layer.build(columns.shape)
        with tensorflow.GradientTape() as tape:
            output = layer(columns)
            total = tensorflow.reduce_sum(output**2)
        outputs.append(output.numpy())
        gradients.append(tape.gradient(total, layer.trainable_variables))
    for plain, products in zip(*(layer.get_weights() for layer in layers), strict=True):
        np.testing.assert_array_equal(plain, products)  # one seed gives the same initial weights
    np.testing.assert_allclose(outputs[1], outputs[0], atol=1e-6)
    # Nothing reaches the recurrent kernel from a single frame.
    for plain, products in zip(*gradients, strict=True):
        expected = np.zeros(products.shape) if plain is None else plain.numpy()
        np.testing.assert_allclose(0 * expected if products is None else products.numpy(), expected, atol=1e-5)


def test_conv_lstm_layers_can_be_stacked() -> None:
    first = conv_lstm_layer("first", SpatiotemporalSpec(5, 9, 7, 2, units=6, horizon=1), 0, return_sequences=True)(
        FRAMES
    )
    second = conv_lstm_layer("second", SpatiotemporalSpec(5, 9, 7, 6, units=4, horizon=1), 1, return_sequences=False)(
        first
    )
    assert second.shape == (3, 9, 7, 4)


@pytest.mark.parametrize(
    ("strides", "padding", "rows", "columns"),
    [(1, "same", 9, 7), (2, "same", 5, 4), (1, "valid", 7, 5), (2, "valid", 4, 3)],
)
def test_conv_lstm_with_padding_and_strides(strides: int, padding: str, rows: int, columns: int) -> None:
    layer = keras.layers.ConvLSTM2D(4, 3, strides, padding, return_sequences=True)
    assert layer(FRAMES).shape == (3, 5, rows, columns, 4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("frames", "horizon"), [(5, 5), (5, 2), (2, 6), (1, 1)])
def test_any_number_of_frames_gives_any_horizon(name: str, frames: int, horizon: int) -> None:
    network = SPATIOTEMPORAL_NETWORKS[name]
    plain = network.build_frames(SpatiotemporalSpec(frames, 9, 7, 2, 8, horizon))(FRAMES[:, :frames])
    assert plain.shape == (3, horizon, 9, 7, 2)
    market = network.build(SpatiotemporalSpec(frames, 9, 7, 2, 8, horizon))(FRAMES[:, :frames])
    assert market.shape == (3, 9, horizon, 7)
    values = np.asarray(plain)
    assert (values >= 0).all()
    assert (values <= 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_channels_first_is_the_same_network_transposed(name: str) -> None:
    build = SPATIOTEMPORAL_NETWORKS[name].build_frames
    last = np.asarray(build(SpatiotemporalSpec(5, 9, 7, 2, 8, 3))(FRAMES))
    turned = build(SpatiotemporalSpec(5, 9, 7, 2, 8, 3, layout="channels_first"))(FRAMES.transpose(0, 1, 4, 2, 3))
    assert turned.shape == (3, 3, 2, 9, 7)
    np.testing.assert_allclose(np.asarray(turned).transpose(0, 1, 3, 4, 2), last, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_image_frames_alone_equal_themselves_in_the_batch(name: str) -> None:
    model = SPATIOTEMPORAL_NETWORKS[name].build_frames(SpatiotemporalSpec(5, 9, 7, 2, 8, 3))
    batch = np.asarray(model(FRAMES))
    for sample in range(3):
        np.testing.assert_allclose(np.asarray(model(FRAMES[sample : sample + 1]))[0], batch[sample], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_frames_matters(name: str) -> None:
    model = SPATIOTEMPORAL_NETWORKS[name].build_frames(SpatiotemporalSpec(5, 9, 7, 2, 8, 3))
    # The newest frame is unchanged, so a difference passes through the LSTM.
    turned = FRAMES[:, [3, 2, 1, 0, 4]]
    assert np.abs(np.asarray(model(FRAMES)) - np.asarray(model(turned))).max() > 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_initial_weights_depend_only_on_the_seed(name: str) -> None:
    def arrays(seed: int) -> list[np.ndarray]:
        return list(
            spatiotemporal_weights(
                SPATIOTEMPORAL_NETWORKS[name].build(SpatiotemporalSpec(5, 9, 7, 2, 8, 3, seed))
            ).values()
        )

    one, again, other = arrays(1), arrays(1), arrays(2)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    changed = [not np.array_equal(a, b) for a, b in zip(one, other, strict=True)]
    # Initial biases and gains are equal; all kernels differ.
    assert all(c for a, c in zip(one, changed, strict=True) if a.ndim > 1)


def test_a_frame_is_halved_to_sixteen_cells_or_at_most_four_times() -> None:
    assert SpatiotemporalSpec(5, 16, 16, 1, 8, 5).maps == ((16, 16), (8, 8), (4, 4))
    assert SpatiotemporalSpec(5, 80, 80, 1, 8, 5).maps == ((80, 80), (40, 40), (20, 20), (10, 10), (5, 5))
    assert SpatiotemporalSpec(5, 51, 14, 2, 8, 3).columns_as_channels.maps == ((51, 1), (26, 1), (13, 1))
    assert SpatiotemporalSpec(5, 51, 14, 2, 8, 3).columns_as_channels.channels == 28
    assert SpatiotemporalSpec(5, 4, 4, 1, 8, 3).halvings == ()


def test_invalid_sizes_and_layouts_are_errors() -> None:
    with pytest.raises(ValueError, match="needs rows of at least 1, received 0"):
        SpatiotemporalSpec(5, 0, 7, 2, 8, 3)
    with pytest.raises(
        ValueError, match="layout of frames 'channels_middle'; choose one of: channels_last, channels_first"
    ):
        SpatiotemporalSpec(5, 9, 7, 2, 8, 3, layout="channels_middle")


@pytest.mark.parametrize("name", NAMES)
def test_market_images_must_have_channels_last(name: str) -> None:
    with pytest.raises(ValueError, match="market images are channels_last, received 'channels_first'"):
        SPATIOTEMPORAL_NETWORKS[name].build(SpatiotemporalSpec(5, 9, 7, 2, 8, 3, layout="channels_first"))


def test_decoders_restore_odd_sizes() -> None:
    spec = SpatiotemporalSpec(2, 13, 5, 3, 8, 4)
    given = keras.Input((2, 13, 5, 3))
    assert tuple(future_maps(given, spec, Conv3DVariant.PLAIN).shape) == (None, 4, 13, 5, 2 * spec.filters)


def test_a_latent_is_its_mean_in_inference_and_a_seeded_sample_in_training() -> None:
    state = np.random.default_rng(2).normal(size=(400, 6)).astype(np.float32)
    one, again, other = Latent(4, seed=1), Latent(4, seed=1), Latent(4, seed=2)
    for layer in (one, again, other):
        layer.build(state.shape)
        layer.set_weights([np.eye(6, 4), np.zeros(4), np.zeros((6, 4)), np.full(4, 2 * np.log(0.5))])
    np.testing.assert_allclose(np.asarray(one(state)), state[:, :4], atol=1e-6)
    assert one.losses == []
    drawn = np.asarray(one(state, training=True))
    noise = drawn - state[:, :4]
    # The variance was set to 0.5 squared, the same in every unit.
    assert noise.std() == pytest.approx(0.5, abs=0.03)
    assert noise.mean() == pytest.approx(0.0, abs=0.05)
    np.testing.assert_array_equal(np.asarray(again(state, training=True)), drawn)
    assert not np.allclose(np.asarray(other(state, training=True)), drawn)


def test_a_latent_adds_its_divergence_from_the_standard_normal() -> None:
    layer = Latent(2, seed=1)
    layer.build((None, 1))
    layer.set_weights([np.array([[1.0, 2.0]]), np.zeros(2), np.zeros((1, 2)), np.zeros(2)])
    layer(np.ones((3, 1), np.float32), training=True)
    # Of N(m, 1) from N(0, 1) it is m^2 / 2: 0.5 and 2 in the two units.
    assert float(layer.losses[0]) == pytest.approx(KL_WEIGHT * 2.5, rel=1e-6)


def test_only_the_variational_network_adds_a_loss() -> None:
    for way in Conv3DVariant:
        model = build_frames_conv3d_lstm(SpatiotemporalSpec(5, 9, 7, 2, 8, 3), way)
        model(FRAMES, training=True)
        assert len(model.losses) == (1 if way is Conv3DVariant.VARIATIONAL else 0)
