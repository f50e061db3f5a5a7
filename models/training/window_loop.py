"""Train one network epoch by epoch, compiled once for all seeds (TensorFlow).

The inputs stay in memory as one `(rows, features)` tensor; each step gathers its windows by index inside the
graph, and the step itself is compiled by XLA. Compilation takes seconds, so a loop is built once and restarted
for each seed with starting weights and an empty optimiser, and used again by later trainings of the process.
"""

from abc import abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from models.config import MEDIAN, ModelConfig, Weighting
from models.errors import TooLittleHistory
from models.networks import get_network
from models.networks.config import NetworkSpec
from models.networks.lstm_numpy import Weights
from models.preprocessing.windows import PooledWindows, TrainingWindows
from models.training.base_loop import Trainer, pinball_loss, reference_masks

Windows = PooledWindows | TrainingWindows

EVALUATION_BATCH = 8_192
"""Windows per batch when a loss is computed outside training."""

MIN_STEPS = 48
"""Steps that an epoch should have: few windows train in smaller batches than the config's."""

SMALLEST_BATCH = 64
"""Lower bound of the windows in a step."""


@dataclass(frozen=True, slots=True)
class _WindowTensors:
    """A set of windows as tensors: inputs `(rows, features)`, ends and weights `(windows,)`, targets."""

    inputs: Any
    ends: Any
    targets: Any
    weights: Any

    def __len__(self) -> int:
        return int(self.ends.shape[0])


_LOOPS: dict[Hashable, "WindowTrainer"] = {}
"""The newest compiled loops of this process, the newest last: a compilation takes as long as 30 epochs."""

KEPT_LOOPS = 4
"""Loops kept: those of both strategies, for two groups."""

Loop = TypeVar("Loop", bound="WindowTrainer")


def compiled_loop(config: ModelConfig, train_windows: Windows, masked_columns: NDArray[np.float32]) -> "CompiledLoop":
    """Return a loop with these windows, see `kept_loop`.

    Args:
        config: See `CompiledLoop`.
        train_windows: See `CompiledLoop`.
        masked_columns: See `CompiledLoop`.

    Raises:
        TooLittleHistory: There is no window to train on.
        UnknownNetwork: The network of the config is not registered.
    """
    build = partial(CompiledLoop, config, train_windows, masked_columns)
    return kept_loop("tensorflow", build, config, train_windows, masked_columns)


def kept_loop(
    kind: Hashable,
    build: Callable[[], Loop],
    config: ModelConfig,
    train_windows: Windows,
    masked_columns: NDArray[np.float32],
) -> Loop:
    """Return a loop with these windows; one that was compiled for windows of the same shape is used again.

    Its results are those of a new loop, since `restart` replaces all that a training changes.

    Args:
        kind: What else makes two loops different.
        build: Returns a new loop of these windows.
        config: Network, sizes and rates.
        train_windows: Windows to train on.
        masked_columns: `(references, features)`, 1 where the mask of a reference zeroes the column, else 0.
    """
    batch = batch_size_for(len(train_windows), config.batch_size)
    columns = (masked_columns.shape, masked_columns.tobytes(), tuple(train_windows.newest_only))
    key = (kind, without_seeds(config), train_windows.inputs.shape[1], columns, batch)
    loop = cast(Loop | None, _LOOPS.pop(key, None))
    if loop is None:
        loop = build()
    else:
        loop.load(train_windows)
    for other in _LOOPS.values():
        other.unload()
    _LOOPS[key] = loop
    while len(_LOOPS) > KEPT_LOOPS:
        del _LOOPS[next(iter(_LOOPS))]
    return loop


def without_seeds(config: ModelConfig) -> ModelConfig:
    """Return a config with the same loop for all seeds: a worker of a cluster trains one seed after another."""
    return replace(config, seeds=(0,))


def batch_size_for(windows: int, largest: int) -> int:
    """Return the windows in a training step: the config's, halved until an epoch has `MIN_STEPS` steps.

    Args:
        windows: Windows of the training span.
        largest: The config's batch size.

    Returns:
        At most `largest` and `windows`; not below `SMALLEST_BATCH` if there are that many.
    """
    batch = largest
    while batch > SMALLEST_BATCH and windows < batch * MIN_STEPS:
        batch //= 2
    return min(batch, windows)


def window_weights(windows: Windows, config: ModelConfig) -> NDArray[np.float32]:
    """Return the weight of each window's loss, `(windows,)`, with a mean of 1."""
    weights = np.ones(len(windows))
    if config.weighting is Weighting.SIGMA and len(windows):
        weights = windows.sigma / windows.sigma.mean()
    return weights.astype(np.float32)


def target_medians(windows: Windows) -> NDArray[np.float32]:
    """Return the median of the targets, `(horizon,)`: the starting point of a forecast's median."""
    medians: NDArray[np.float32] = np.median(windows.targets, axis=0).astype(np.float32)
    return medians


def epoch_order(seed: int, number: int, windows: int, batch: int) -> NDArray[np.int64]:
    """Return the windows of each step of an epoch, `(steps, batch)`, drawn from seed and epoch.

    The windows that do not fill a last batch are left out of this epoch; another epoch draws another order.
    """
    steps = windows // batch
    order = np.random.default_rng((seed, number)).permutation(windows)
    return order[: steps * batch].reshape(steps, batch)


class WindowTrainer(Trainer):
    """A trainer of a window network: what the loops of all frameworks have in common."""

    def __init__(self, config: ModelConfig, train_windows: Windows) -> None:
        """Build the network.

        Args:
            config: Network, sizes and rates.
            train_windows: Windows to train on, which `load` places.

        Raises:
            TooLittleHistory: There is no window to train on.
            UnknownNetwork: The network of the config is not registered.
        """
        if len(train_windows) == 0:
            raise TooLittleHistory("there is no window to train on; add more history or use a shorter lookback")
        network, features = get_network(config.forecaster), train_windows.inputs.shape[1]
        super().__init__(config, lambda seed: network.build(NetworkSpec.of(config, features, seed)))
        self._network = network
        self._inputs: tuple[Any, Any] = (None, None)
        self._visibility = train_windows.visibility() if train_windows.newest_only else None
        self._batch = batch_size_for(len(train_windows), config.batch_size)

    @abstractmethod
    def load(self, train_windows: Windows) -> None:
        """Replace the windows to train on by others with the same batch size, columns and lookback."""

    def unload(self) -> None:
        """Free the windows; `load` must be called before the next epoch."""
        self._inputs = (None, None)
        if hasattr(self, "_train"):
            del self._train


class CompiledLoop(WindowTrainer):
    """Trains the network of a config on one set of windows, seed after seed."""

    def __init__(self, config: ModelConfig, train_windows: Windows, masked_columns: NDArray[np.float32]) -> None:
        """Build the network and load the windows.

        Args:
            config: Network, sizes and rates.
            train_windows: Windows to train on; all targets finite.
            masked_columns: `(references, features)`, 1 where the mask of a reference zeroes the column, else 0.

        Raises:
            TooLittleHistory: There is no window to train on.
            UnknownNetwork: The network of the config is not registered.
        """
        import tensorflow as tf

        super().__init__(config, train_windows)
        self._mask = tf.constant(masked_columns)
        self._medians = tf.Variable(tf.zeros(train_windows.targets.shape[1]), trainable=False)
        self._epoch = tf.function(self._run_epoch, reduce_retracing=True)
        self._step = tf.function(self._run_step, jit_compile=True)
        self._evaluate = tf.function(self._weighted_loss, reduce_retracing=True)
        self.load(train_windows)

    def load(self, train_windows: Windows) -> None:
        """Replace the windows to train on by others with the same batch size, columns and lookback."""
        self._train = self._tensors(train_windows)
        self._medians.assign(target_medians(train_windows))

    @property
    def medians(self) -> NDArray[np.float32]:
        """Median of the training targets, `(horizon,)`: the starting point of a forecast's median."""
        medians: NDArray[np.float32] = self._medians.numpy()
        return medians

    def epoch(self, seed: int, number: int) -> float:
        """Train once over all windows, in an order drawn from seed and epoch.

        Returns:
            The mean training loss.
        """
        import tensorflow as tf

        order = epoch_order(seed, number, len(self._train), self._batch)
        train = self._train
        total = self._epoch(
            train.inputs,
            train.ends,
            train.targets,
            train.weights,
            tf.constant(order, tf.int32),
            tf.constant([seed, number], tf.int64),
        )
        return float(total) / len(order)

    def loss_on(self, windows: Windows) -> Callable[[], float]:
        """Load a second set of windows and return a function that computes the current weights' mean loss on it."""
        placed = self._tensors(windows)

        def loss() -> float:
            total = 0.0
            for start in range(0, len(placed), EVALUATION_BATCH):
                cut = slice(start, min(start + EVALUATION_BATCH, len(placed)))
                gathered = self._gather(placed.inputs, placed.ends[cut])
                mean = self._evaluate(gathered, placed.targets[cut], placed.weights[cut])
                total += float(mean) * (cut.stop - cut.start)
            return total / max(len(placed), 1)

        return loss

    def weights(self) -> Weights:
        """Return a copy of the current weights by name."""
        return self._network.weights(self._model)

    def _tensors(self, windows: Windows) -> _WindowTensors:
        import tensorflow as tf

        if windows.inputs is not self._inputs[0]:  # training and validation windows share one array
            self._inputs = (windows.inputs, tf.constant(windows.inputs))
        return _WindowTensors(
            self._inputs[1],
            tf.constant(windows.ends.astype(np.int32)),
            tf.constant(windows.targets.astype(np.float32)),
            tf.constant(window_weights(windows, self._model_config)),
        )

    def _gather(self, inputs: Any, ends: Any) -> Any:
        import tensorflow as tf

        offsets = tf.range(self._model_config.lookback - 1, -1, -1)
        gathered = tf.gather(inputs, ends[:, None] - offsets[None, :])
        return gathered if self._visibility is None else gathered * self._visibility

    def _weighted_loss(self, windows: Any, targets: Any, weights: Any) -> Any:
        """Return the pinball loss, weighted mean over windows."""
        import tensorflow as tf

        return tf.reduce_mean(pinball_loss(targets, self._quantiles(windows)) * weights)

    def _quantiles(self, windows: Any) -> Any:
        """Return the quantiles `(windows, horizon, 7)` as served, shrunk by the config's `median_share`.

        All quantiles move with the median. A small share slows the learning of the median: the symbols of a day move
        together, so the network overfits the median of single days more easily than the width.
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
        self._apply_gradient(tape, loss)
        return loss

    def _run_epoch(self, inputs: Any, ends: Any, targets: Any, weights: Any, order: Any, seed: Any) -> Any:
        import tensorflow as tf

        total = tf.constant(0.0)
        for step in tf.range(tf.shape(order, tf.int64)[0]):
            batch = order[step]
            windows = self._gather(inputs, tf.gather(ends, batch))
            if self._mask.shape[0]:
                draw = seed + tf.stack([tf.constant(0, tf.int64), 1_000_003 * (step + 1)])
                config = self._model_config
                windows *= reference_masks(self._mask, self._batch, config.lookback, config.mask_rate, draw)
            total += self._step(windows, tf.gather(targets, batch), tf.gather(weights, batch))
        return total
