"""Training of one network over market frames, epoch by epoch, one graph for all seeds (TensorFlow).

The inputs stay resident as one `(rows, features)` tensor; each step gathers its samples by index inside the
graph, so that a lookback is never copied over all dates.
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
from models.training.spatiotemporal.masking import hide
from models.training.window_loop import MIN_STEPS

JUDGED_DATES = 64
"""Samples whose loss is computed at once outside training."""


@dataclass(frozen=True, slots=True)
class _Resident:
    """Samples as tensors: inputs `(rows, features)`, shown `(lookback, features)`, the others `(dates, rows, ...)`.

    A cell that is not counted has a weight of 0.
    """

    inputs: Any
    ends: Any
    targets: Any
    weights: Any
    counted: Any
    shown: Any

    def __len__(self) -> int:
        return int(self.ends.shape[0])


def dates_of(dates: int, rows: int, windows: int) -> int:
    """Dates in a training step: about the recipe's number of windows, and `MIN_STEPS` steps in an epoch.

    Args:
        dates: Dates of the fit span.
        rows: Symbols in a frame.
        windows: The recipe's batch size.

    Returns:
        At least 1.
    """
    return max(1, min(windows // rows, dates // MIN_STEPS))


class ImageLoop(Trainer):
    """Trains one network of a recipe on one set of samples, seed after seed."""

    def __init__(
        self, config: ModelConfig, spec: SpatiotemporalSpec, fit: MarketImages, masked_columns: NDArray[np.float32]
    ) -> None:
        """Build the network and place the samples.

        Args:
            recipe: NetworkDefinition and rates.
            spec: Size of the network.
            fit: Samples to train on.
            masked_columns: `(references, features)`, 1 where a reference's mask zeroes the column, else 0.

        Raises:
            UnknownNetwork: The recipe names no network over frames.
        """
        import tensorflow as tf

        network = spatiotemporal_network(config.forecaster)
        super().__init__(config, lambda seed: network.build(replace(spec, seed=seed)))
        self._size = spec
        self._mask = tf.constant(masked_columns)
        self._fit = self._resident(fit)
        self._batch = dates_of(len(fit), spec.rows, config.batch_size)
        # XLA is left out: on a CPU it trains a Conv3D slower by an order of magnitude.
        self._step = tf.function(self._run_step)

    def epoch(self, seed: int, number: int) -> float:
        """Train over all samples once, in an order drawn from seed and epoch.

        Returns:
            The mean training loss.
        """
        import tensorflow as tf

        steps = len(self._fit) // self._batch
        order = np.random.default_rng((seed, number)).permutation(len(self._fit))[: steps * self._batch]
        total = 0.0
        for step, dates in enumerate(order.reshape(steps, self._batch)):
            draw = tf.constant([seed, number + 1_000_003 * (step + 1)], tf.int64)
            total += float(self._step(tf.constant(dates, tf.int32), draw))
        return total / steps

    def loss_on(self, frames: MarketImages) -> Callable[[], float]:
        """Place a second set of samples; the answer computes the current weights' mean loss on it."""
        import tensorflow as tf

        placed = self._resident(frames)
        summed = tf.function(lambda dates: self._summed_loss(self._gather(placed, dates), placed, dates, False))
        counted = max(int(frames.counted.sum()), 1)

        def loss() -> float:
            total = 0.0
            for start in range(0, len(placed), JUDGED_DATES):
                total += float(summed(tf.range(start, tf.minimum(start + JUDGED_DATES, len(placed)))))
            return total / counted

        return loss

    def weights(self) -> Weights:
        """The current weights by name, copied."""
        return spatiotemporal_weights(self._model)

    def _resident(self, frames: MarketImages) -> _Resident:
        import tensorflow as tf

        weights = frames.counted.astype(np.float32)
        if self._model_config.weighting is Weighting.SIGMA and frames.counted.any():
            weights *= frames.sigma / frames.sigma[frames.counted].mean()
        return _Resident(
            tf.constant(frames.inputs),
            tf.constant(frames.ends.astype(np.int32)),
            tf.constant(frames.targets.astype(np.float32)),
            tf.constant(weights),
            tf.constant(frames.counted.astype(np.float32)),
            tf.constant(frames.shown),
        )

    def _gather(self, placed: _Resident, dates: Any) -> Any:
        """`(dates, lookback, rows, features, 2)`, as `MarketImages.gather`."""
        import tensorflow as tf

        ends = tf.gather(placed.ends, dates)
        newest_first = tf.range(self._size.frames - 1, -1, -1)
        rows = tf.maximum(ends, self._size.frames - 1)[:, None, :] - newest_first[None, :, None]
        mask = tf.cast(ends >= 0, tf.float32)[:, None, :, None]
        values = tf.gather(placed.inputs, rows) * mask * placed.shown[:, None, :]
        return tf.stack([values, tf.broadcast_to(mask, tf.shape(values))], axis=-1)

    def _summed_loss(self, samples: Any, placed: _Resident, dates: Any, training: bool) -> Any:
        """Pinball loss, summed over the cells that are counted and shown, each with its weight."""
        import tensorflow as tf

        weights = tf.gather(placed.weights, dates) * samples[:, -1, :, 0, 1]
        answer = self._model(samples, training=training)
        return tf.reduce_sum(pinball_loss(tf.gather(placed.targets, dates), answer) * weights)

    def _run_step(self, dates: Any, seed: Any) -> Any:
        import tensorflow as tf

        samples = hide(self._gather(self._fit, dates), self._mask, self._model_config.mask_rate, seed)
        counted = tf.maximum(tf.reduce_sum(tf.gather(self._fit.counted, dates) * samples[:, -1, :, 0, 1]), 1.0)
        with tf.GradientTape() as tape:
            loss = self._summed_loss(samples, self._fit, dates, True) / counted
            whole = tf.add_n([loss, *self._model.losses])
        self._learn(tape, whole)
        return loss
