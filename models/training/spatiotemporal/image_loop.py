"""Train one spatiotemporal network epoch by epoch, with one graph for all seeds (TensorFlow).

The inputs stay in memory as one `(rows, features)` tensor; each step gathers its samples by index inside the
graph, so that a lookback is never copied for all dates.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.config import ModelConfig, Weighting
from models.forecasting.spatiotemporal.images import MarketImages
from models.networks.lstm_numpy import Weights
from models.networks.spatiotemporal.config import SpatiotemporalSpec
from models.networks.spatiotemporal.registry import spatiotemporal_network, spatiotemporal_weights
from models.training.base_loop import Trainer, pinball_loss
from models.training.spatiotemporal.masking import mask_inputs
from models.training.window_loop import MIN_STEPS, epoch_order

EVALUATION_DATES = 64
"""Samples per batch when a loss is computed outside training."""


@dataclass(frozen=True, slots=True)
class _ImageTensors:
    """Samples as tensors.

    `inputs` is `(rows, features)`, `visibility` is `(lookback, features)`, the others are `(dates, rows, ...)`.

    A cell that is not counted has the weight 0.
    """

    inputs: Any
    ends: Any
    targets: Any
    weights: Any
    counted: Any
    visibility: Any

    def __len__(self) -> int:
        return int(self.ends.shape[0])


def dates_per_step(dates: int, rows: int, windows: int) -> int:
    """Return the dates in a training step: about the config's windows, and `MIN_STEPS` steps in an epoch.

    Args:
        dates: Dates of the training span.
        rows: Symbols in an image.
        windows: The config's batch size.

    Returns:
        At least 1.
    """
    return max(1, min(windows // rows, dates // MIN_STEPS))


class ImageLoop(Trainer):
    """Trains the network of a config on one set of samples, seed after seed."""

    def __init__(
        self, config: ModelConfig, spec: SpatiotemporalSpec, train: MarketImages, masked_columns: NDArray[np.float32]
    ) -> None:
        """Build the network and load the samples.

        Args:
            config: Network and rates.
            spec: Size of the network.
            train: Samples to train on.
            masked_columns: `(references, features)`, 1 where the mask of a reference zeroes the column, else 0.

        Raises:
            UnknownNetwork: The config names no spatiotemporal network.
        """
        import tensorflow as tf

        network = spatiotemporal_network(config.forecaster)
        super().__init__(config, lambda seed: network.build(replace(spec, seed=seed)))
        self._spec = spec
        self._mask = tf.constant(masked_columns)
        self._train = self._tensors(train)
        self._batch = dates_per_step(len(train), spec.rows, config.batch_size)
        self._epoch = tf.function(self._run_epoch)
        self._step = tf.function(self._run_step, jit_compile=network.compiles)

    def epoch(self, seed: int, number: int) -> float:
        """Train once over all samples, in an order drawn from seed and epoch.

        Returns:
            The mean training loss.
        """
        import tensorflow as tf

        order = epoch_order(seed, number, len(self._train), self._batch)
        total = self._epoch(tf.constant(order, tf.int32), tf.constant([seed, number], tf.int64))
        return float(total) / len(order)

    def loss_on(self, images: MarketImages) -> Callable[[], float]:
        """Load a second set of samples and return a function that computes the current weights' mean loss on it."""
        import tensorflow as tf

        placed = self._tensors(images)

        def summed_loss(dates: Any) -> Any:
            targets, weights = tf.gather(placed.targets, dates), tf.gather(placed.weights, dates)
            return self._summed_loss(self._gather(placed, dates), targets, weights, False)

        summed = tf.function(summed_loss, reduce_retracing=True)
        counted = max(int(images.counted.sum()), 1)

        def loss() -> float:
            total = 0.0
            for start in range(0, len(placed), EVALUATION_DATES):
                total += float(summed(tf.range(start, tf.minimum(start + EVALUATION_DATES, len(placed)))))
            return total / counted

        return loss

    def weights(self) -> Weights:
        """Return a copy of the current weights by name."""
        return spatiotemporal_weights(self._model)

    def _tensors(self, images: MarketImages) -> _ImageTensors:
        import tensorflow as tf

        weights = images.counted.astype(np.float32)
        if self._model_config.weighting is Weighting.SIGMA and images.counted.any():
            weights *= images.sigma / images.sigma[images.counted].mean()
        return _ImageTensors(
            tf.constant(images.inputs),
            tf.constant(images.ends.astype(np.int32)),
            tf.constant(images.targets.astype(np.float32)),
            tf.constant(weights),
            tf.constant(images.counted.astype(np.float32)),
            tf.constant(images.visibility),
        )

    def _gather(self, placed: _ImageTensors, dates: Any) -> Any:
        """Return samples `(dates, lookback, rows, features, 2)`, as `MarketImages.gather`."""
        import tensorflow as tf

        ends = tf.gather(placed.ends, dates)
        newest_first = tf.range(self._spec.frames - 1, -1, -1)
        rows = tf.maximum(ends, self._spec.frames - 1)[:, None, :] - newest_first[None, :, None]
        mask = tf.cast(ends >= 0, tf.float32)[:, None, :, None]
        values = tf.gather(placed.inputs, rows) * mask * placed.visibility[:, None, :]
        return tf.stack([values, tf.broadcast_to(mask, tf.shape(values))], axis=-1)

    def _summed_loss(self, samples: Any, targets: Any, weights: Any, training: bool) -> Any:
        """Return the weighted pinball loss, summed over the cells that are counted and not hidden."""
        import tensorflow as tf

        quantiles = self._model(samples, training=training)
        return tf.reduce_sum(pinball_loss(targets, quantiles) * weights * samples[:, -1, :, 0, 1])

    def _run_step(self, samples: Any, targets: Any, weights: Any, counted: Any) -> Any:
        import tensorflow as tf

        counts = tf.maximum(tf.reduce_sum(counted * samples[:, -1, :, 0, 1]), 1.0)
        with tf.GradientTape() as tape:
            loss = self._summed_loss(samples, targets, weights, True) / counts
            regularised = tf.add_n([loss, *self._model.losses])
        self._apply_gradient(tape, regularised)
        return loss

    def _run_epoch(self, order: Any, seed: Any) -> Any:
        import tensorflow as tf

        train, total = self._train, tf.constant(0.0)
        for step in tf.range(tf.shape(order, tf.int64)[0]):
            dates = order[step]
            draw = seed + tf.stack([tf.constant(0, tf.int64), 1_000_003 * (step + 1)])
            samples = mask_inputs(self._gather(train, dates), self._mask, self._model_config.mask_rate, draw)
            samples = tf.ensure_shape(samples, (self._batch, *samples.shape[1:]))
            cells = (tf.gather(each, dates) for each in (train.targets, train.weights, train.counted))
            total += self._step(samples, *cells)
        return total
