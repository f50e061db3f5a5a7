"""Random masks in training, and the size of a training step."""

import numpy as np
import pytest
import tensorflow as tf

from models.config import ModelConfig, Strategy, Weighting
from models.forecasting.spatiotemporal.images import MarketImages
from models.metrics.scoring_rules import pinball
from models.networks.spatiotemporal.config import SpatiotemporalSpec
from models.networks.spatiotemporal.registry import spatiotemporal_network
from models.training.spatiotemporal.image_loop import ImageLoop, dates_per_step
from models.training.spatiotemporal.masking import mask_inputs

DATES, LOOKBACK, ROWS, FEATURES = 4000, 3, 2, 5
# One reference with two columns, the last of them its mask.
COLUMNS = tf.constant([[0, 0, 0, 1, 1]], tf.float32)
SEED = tf.constant([1, 2], tf.int64)


def masked(rate: float, columns: tf.Tensor = COLUMNS) -> np.ndarray:
    return np.asarray(mask_inputs(tf.ones((DATES, LOOKBACK, ROWS, FEATURES, 2)), columns, rate, SEED))


def test_a_hidden_symbol_has_no_values_and_no_mask_in_the_whole_window() -> None:
    samples = masked(0.3, tf.zeros((0, FEATURES)))
    hidden = samples[:, 0, :, 0, 1] == 0
    assert hidden.mean() == pytest.approx(0.3, abs=0.02)
    assert (samples[hidden.nonzero()[0], :, hidden.nonzero()[1]] == 0).all()
    assert (samples[(~hidden).nonzero()[0], :, (~hidden).nonzero()[1]] == 1).all()


def test_a_reference_is_hidden_from_all_symbols_and_half_the_time_only_in_the_newest_session() -> None:
    samples = masked(0.3)
    shown = samples[..., 1] == 1
    values = np.where(shown, samples[..., 0], np.nan)[:, :, :, 3:]
    both = shown[:, 0].all(axis=(1, 2))
    assert (values[both][:, :, 0] == values[both][:, :, 1]).all()
    newest, oldest = values[both][:, -1, 0, 0] == 0, values[both][:, 0, 0, 0] == 0
    assert newest.mean() == pytest.approx(0.3, abs=0.03)
    assert oldest.mean() == pytest.approx(0.15, abs=0.02)
    assert not (oldest & ~newest).any()
    assert (samples[both][..., :3, 0] == 1).all()


def test_equal_seeds_give_equal_masks_and_a_rate_of_zero_hides_nothing() -> None:
    np.testing.assert_array_equal(masked(0.3), masked(0.3))
    assert (masked(0.0) == 1).all()


@pytest.mark.parametrize(
    ("dates", "rows", "windows", "step"),
    [(3200, 51, 1024, 20), (600, 51, 1024, 12), (3200, 4, 1024, 66), (30, 51, 64, 1)],
)
def test_a_step_has_about_the_windows_of_the_config(dates: int, rows: int, windows: int, step: int) -> None:
    assert dates_per_step(dates, rows, windows) == step


def market(counted: np.ndarray) -> MarketImages:
    draw = np.random.default_rng(0)
    count = len(counted)
    return MarketImages(
        inputs=draw.normal(size=(count + 2, FEATURES)).astype(np.float32),
        ends=np.repeat(np.arange(count)[:, None] + 2, ROWS, axis=1),
        lookback=LOOKBACK,
        as_of=np.arange(count).astype("datetime64[D]"),
        sigma=np.full((count, ROWS), 0.01),
        targets=np.where(counted[..., None], 1.0, 50.0),
        counted=counted,
        visibility=np.ones((LOOKBACK, FEATURES), np.float32),
    )


def test_training_uses_only_the_counted_targets() -> None:
    counted = np.ones((400, ROWS), bool)
    counted[:, 1] = False
    images = market(counted)
    config = ModelConfig("conv_lstm", Strategy.ONE_STEP, lookback=LOOKBACK, units=4, seeds=(0,), learning_rate=0.05)
    loop = ImageLoop(
        config, SpatiotemporalSpec(LOOKBACK, ROWS, FEATURES, 2, 4, 1), images, np.zeros((0, FEATURES), np.float32)
    )
    loss = loop.loss_on(images)
    loop.restart(0)
    before = loss()
    # With the weight of the others, a target of 50 would lose some 25.
    assert 0.15 < before < 1.0
    for epoch in (1, 2, 3):
        loop.epoch(0, epoch)
    assert loss() < 0.05


def test_a_hidden_symbol_enters_no_loss() -> None:
    images = market(np.ones((200, ROWS), bool))
    config = ModelConfig("conv_lstm", Strategy.ONE_STEP, lookback=LOOKBACK, units=4, seeds=(0,), mask_rate=1.0)
    loop = ImageLoop(
        config, SpatiotemporalSpec(LOOKBACK, ROWS, FEATURES, 2, 4, 1), images, np.zeros((0, FEATURES), np.float32)
    )
    loop.restart(0)
    before = loop.weights()
    assert loop.epoch(0, 1) == 0.0
    # Only the weight decay, 2e-7 of a weight a step, moves anything.
    assert all(np.allclose(before[name], array, atol=1e-4) for name, array in loop.weights().items())


def test_training_uses_the_gathered_inputs() -> None:
    images = market(np.ones((50, ROWS), bool))
    images.visibility[:-1, 2:] = 0.0
    config = ModelConfig(
        "conv_lstm", Strategy.ONE_STEP, lookback=LOOKBACK, units=4, seeds=(0,), weighting=Weighting.EVEN
    )
    spec = SpatiotemporalSpec(LOOKBACK, ROWS, FEATURES, 2, 4, 1)
    loop = ImageLoop(config, spec, images, np.zeros((0, FEATURES), np.float32))
    quantiles = spatiotemporal_network("conv_lstm").forward(spec, loop.weights(), images.gather(slice(None)))
    expected = pinball(images.targets.reshape(-1, 1), quantiles.reshape(-1, 1, 7)).mean()
    assert loop.loss_on(images)() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("weighting", list(Weighting))
def test_windows_have_equal_weights_or_weights_by_sigma(weighting: Weighting) -> None:
    images = market(np.ones((50, ROWS), bool))
    images.sigma[:, 1], images.targets[:, 1] = 0.03, 100.0
    config = ModelConfig(
        "conv_lstm", Strategy.ONE_STEP, lookback=LOOKBACK, units=4, seeds=(0,), weighting=weighting, mask_rate=0.0
    )
    loop = ImageLoop(
        config, SpatiotemporalSpec(LOOKBACK, ROWS, FEATURES, 2, 4, 1), images, np.zeros((0, FEATURES), np.float32)
    )
    loop.restart(0)
    # Far above all quantiles a target loses the levels' mean, a half, of its distance; the other row some 0.1 or 0.2.
    assert loop.loss_on(images)() == pytest.approx(25.0 * (1.5 if weighting is Weighting.SIGMA else 1.0), rel=0.03)
