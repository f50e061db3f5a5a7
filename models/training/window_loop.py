"""One network's training, epoch by epoch, compiled once for all seeds (TensorFlow).

The inputs stay resident as one `(rows, features)` tensor; each step gathers its windows by index inside the
graph, and the step itself is compiled by XLA. Compiling takes seconds, so a loop is built once and restarted
for each seed with that seed's starting weights and an empty optimiser.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.config import MEDIAN, ModelConfig, Weighting
from models.errors import TooLittleHistory
from models.networks import get_network
from models.networks.config import NetworkSpec
from models.networks.lstm_numpy import Weights
from models.preprocessing.windows import PooledWindows
from models.training.base_loop import Trainer, pinball_loss, shown_references

JUDGED_BATCH = 8_192
"""Windows whose loss is computed at once outside training."""

MIN_STEPS = 48
"""Steps that an epoch should have: few windows train in smaller batches than the recipe's."""

SMALLEST_BATCH = 64
"""Windows in a step, at least, however few there are."""


@dataclass(frozen=True, slots=True)
class _Resident:
    """A set of windows as tensors: inputs `(rows, features)`, ends and weights `(windows,)`, targets."""

    inputs: Any
    ends: Any
    targets: Any
    weights: Any

    def __len__(self) -> int:
        return int(self.ends.shape[0])


def batch_of(windows: int, largest: int) -> int:
    """Windows in a training step: the recipe's, halved until an epoch has `MIN_STEPS` steps.

    Args:
        windows: Windows of the fit span.
        largest: The recipe's batch size.

    Returns:
        At most `largest` and `windows`; not below `SMALLEST_BATCH` where there are that many.
    """
    batch = largest
    while batch > SMALLEST_BATCH and windows < batch * MIN_STEPS:
        batch //= 2
    return min(batch, windows)


class CompiledLoop(Trainer):
    """Trains one network of a recipe on one set of windows, seed after seed."""

    def __init__(self, config: ModelConfig, fit: PooledWindows, masked_columns: NDArray[np.float32]) -> None:
        """Build the network and place the windows.

        Args:
            recipe: NetworkDefinition, sizes and rates.
            fit: Windows to train on; every target finite.
            masked_columns: `(references, features)`, 1 where a reference's mask zeroes the column, else 0.

        Raises:
            TooLittleHistory: There is no window to train on.
            UnknownNetwork: The recipe names a network that nobody registered.
        """
        if len(fit) == 0:
            raise TooLittleHistory("there is no window to train on; bring more history or a shorter lookback")
        import tensorflow as tf

        network, features = get_network(config.forecaster), fit.inputs.shape[1]
        super().__init__(config, lambda seed: network.build(NetworkSpec.of(config, features, seed)))
        self._network = network
        self._mask = tf.constant(masked_columns)
        self._fit = self._resident(fit)
        self._medians = np.median(fit.targets, axis=0).astype(np.float32)
        self._shown_columns = fit.visibility() if fit.newest_only else None
        self._batch = batch_of(len(fit), config.batch_size)
        self._epoch = tf.function(self._run_epoch)
        self._step = tf.function(self._run_step, jit_compile=True)
        self._judge = tf.function(self._weighted_loss, reduce_retracing=True)

    @property
    def medians(self) -> NDArray[np.float32]:
        """`(horizon,)` median of the targets trained on: where a forecast's median starts from."""
        return self._medians

    def epoch(self, seed: int, number: int) -> float:
        """Train over all windows once, in an order drawn from seed and epoch.

        The windows left over from the last whole batch wait for another epoch's order.

        Returns:
            The mean training loss.
        """
        import tensorflow as tf

        draw = np.random.default_rng((seed, number))
        steps = len(self._fit) // self._batch
        order = draw.permutation(len(self._fit))[: steps * self._batch].reshape(steps, self._batch)
        fit = self._fit
        total = self._epoch(
            fit.inputs,
            fit.ends,
            fit.targets,
            fit.weights,
            tf.constant(order, tf.int32),
            tf.constant([seed, number], tf.int64),
        )
        return float(total) / steps

    def loss_on(self, windows: PooledWindows) -> Callable[[], float]:
        """Place a second set of windows; the answer computes the current weights' mean loss on it."""
        placed = self._resident(windows)

        def loss() -> float:
            total = 0.0
            for start in range(0, len(placed), JUDGED_BATCH):
                cut = slice(start, min(start + JUDGED_BATCH, len(placed)))
                gathered = self._gather(placed.inputs, placed.ends[cut])
                mean = self._judge(gathered, placed.targets[cut], placed.weights[cut])
                total += float(mean) * (cut.stop - cut.start)
            return total / max(len(placed), 1)

        return loss

    def weights(self) -> Weights:
        """The current weights by name, copied."""
        return self._network.weights(self._model)

    def _resident(self, windows: PooledWindows) -> _Resident:
        import tensorflow as tf

        weights = np.ones(len(windows))
        if self._model_config.weighting is Weighting.SIGMA and len(windows):
            weights = windows.sigma / windows.sigma.mean()
        return _Resident(
            tf.constant(windows.inputs),
            tf.constant(windows.ends.astype(np.int32)),
            tf.constant(windows.targets.astype(np.float32)),
            tf.constant(weights.astype(np.float32)),
        )

    def _gather(self, inputs: Any, ends: Any) -> Any:
        import tensorflow as tf

        offsets = tf.range(self._model_config.lookback - 1, -1, -1)
        gathered = tf.gather(inputs, ends[:, None] - offsets[None, :])
        return gathered if self._shown_columns is None else gathered * self._shown_columns

    def _weighted_loss(self, windows: Any, targets: Any, weights: Any) -> Any:
        """Pinball loss, mean over windows, each with its weight."""
        import tensorflow as tf

        return tf.reduce_mean(pinball_loss(targets, self._answered(windows)) * weights)

    def _answered(self, windows: Any) -> Any:
        """Quantiles `(windows, horizon, 7)` as served: the recipe's share of the median's way, and all moved with it.

        A small share slows the median's learning: the symbols of a day move together, so a median is easily learned
        by heart, day by day, where a width is not.
        """
        quantiles = self._model(windows)
        share = self._model_config.median_share
        if share == 1:
            return quantiles
        return quantiles - (1 - share) * (quantiles[:, :, MEDIAN : MEDIAN + 1] - self._medians[:, None])

    def _run_step(self, windows: Any, targets: Any, weights: Any) -> Any:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = self._weighted_loss(windows, targets, weights)
        self._learn(tape, loss)
        return loss

    def _run_epoch(self, inputs: Any, ends: Any, targets: Any, weights: Any, order: Any, seed: Any) -> Any:
        import tensorflow as tf

        total = tf.constant(0.0)
        for step in tf.range(tf.shape(order, tf.int64)[0]):
            chosen = order[step]
            windows = self._gather(inputs, tf.gather(ends, chosen))
            if self._mask.shape[0]:
                draw = seed + tf.stack([tf.constant(0, tf.int64), 1_000_003 * (step + 1)])
                config = self._model_config
                windows *= shown_references(self._mask, self._batch, config.lookback, config.mask_rate, draw)
            total += self._step(windows, tf.gather(targets, chosen), tf.gather(weights, chosen))
        return total
