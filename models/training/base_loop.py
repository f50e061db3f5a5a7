"""The parts that all training loops share: seed restarts, loss, optimiser step, masked references (TensorFlow)."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from models.config import QUANTILES, ModelConfig
from models.errors import ArtifactError
from models.networks.lstm_numpy import Weights


class Trainer(ABC):
    """A network and its optimiser, created once and restarted for each seed."""

    def __init__(self, config: ModelConfig, build: Callable[[int], Any]) -> None:
        """Build the network for the config's first seed, and an empty optimiser.

        Args:
            config: Rates and seeds.
            build: Returns the `keras.Model` with the starting weights of a seed.
        """
        import keras

        self._model_config, self._build = config, build
        self._model = build(config.seeds[0])
        self._optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay)
        self._optimizer.build(self._model.trainable_variables)
        self._initial_state = [np.zeros(v.shape, v.dtype) for v in self._optimizer.variables]

    def restart(self, seed: int, start: Weights | None = None) -> None:
        """Restart for a seed: starting weights, its noise, an empty optimiser, the config's learning rate.

        Args:
            seed: The seed.
            start: Arrays to start from, by the names of `weights`; None = the seed's own initial ones.

        Raises:
            ArtifactError: The arrays are not those of this network.
        """
        for variable, value in zip(self._model.variables, self._build(seed).variables, strict=True):
            variable.assign(value)
        if start is not None:
            self._assign(start)
        for variable, value in zip(self._optimizer.variables, self._initial_state, strict=True):
            variable.assign(value)
        self.set_rate(self._model_config.learning_rate)

    def set_rate(self, rate: float) -> None:
        """Set the optimiser's learning rate."""
        self._optimizer.learning_rate.assign(rate)

    @abstractmethod
    def weights(self) -> Weights:
        """Return a copy of the current weights by name."""

    def _model_arrays(self) -> Weights:
        """Return copies of the arrays that the model's variables hold, by name."""
        return self.weights()

    def fits(self, start: Weights) -> bool:
        """Return whether arrays have the names and shapes of this network's."""
        return {name: array.shape for name, array in start.items()} == {
            name: array.shape for name, array in self._model_arrays().items()
        }

    def _assign(self, start: Weights) -> None:
        if not self.fits(start):
            raise ArtifactError(
                "the starting weights have other names or shapes than this network's; start from its initial weights"
            )
        self._model.set_weights([start[name] for name in self._names])

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """Return the names in `weights` in the order of the model's: each is filled with a number to find it."""
        kept = self._model.get_weights()
        # Below 0, because an array that a network adds to its own may hold small whole numbers.
        self._model.set_weights([np.full_like(array, -1 - position) for position, array in enumerate(kept)])
        found = {float(array.flat[0]): name for name, array in self._model_arrays().items()}
        self._model.set_weights(kept)
        return tuple(found[-1.0 - position] for position in range(len(kept)))

    def _apply_gradient(self, tape: Any, loss: Any) -> None:
        """Apply the gradient of a loss that the tape recorded."""
        variables = self._model.trainable_variables
        self._optimizer.apply(tape.gradient(loss, variables), variables)


def pinball_loss(targets: Any, quantiles: Any) -> Any:
    """Return the pinball loss (Koenker and Bassett 1978), mean over quantiles and steps.

    Args:
        targets: Tensor `(..., horizon)`.
        quantiles: Tensor `(..., horizon, 7)`.

    Returns:
        Tensor `(...)`.
    """
    import tensorflow as tf

    levels = tf.constant(QUANTILES, tf.float32)
    errors = targets[..., None] - quantiles
    return tf.reduce_mean(tf.maximum(levels * errors, (levels - 1.0) * errors), axis=(-2, -1))


def reference_masks(masked_columns: Any, windows: int, lookback: int, rate: float, seed: Any) -> Any:
    """Return random masks that hide references, so that the network is trained on masked references too.

    Half of the masks hide a reference in the whole window, as for an absent series. The other half hide it only in the
    newest session, as for a late bar.

    Args:
        masked_columns: Tensor `(references, features)`, 1 where the mask of a reference zeroes the column, else 0.
        windows: Number of masks.
        lookback: Sessions of each mask.
        rate: Probability of each reference, 0..1.
        seed: Tensor `(2,)` int64; equal seeds give equal masks.

    Returns:
        Tensor `(windows, lookback, features)`, 0 where a reference is hidden, else 1.
    """
    import tensorflow as tf

    draw = tf.random.stateless_uniform((windows, masked_columns.shape[0]), seed)
    whole, newest = (tf.cast(draw < limit, tf.float32) @ masked_columns for limit in (rate / 2, rate))
    hidden = tf.concat([tf.repeat(whole[:, None], lookback - 1, axis=1), newest[:, None]], axis=1)
    return tf.cast(hidden < 0.5, tf.float32)
