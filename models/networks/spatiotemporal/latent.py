"""A random latent between encoder and decoder (Kingma and Welling 2014)."""

from typing import Any

import keras

KL_WEIGHT = 1e-3
"""Weight of the Kullback-Leibler term, summed over the latent's units, beside the loss of the forecasts."""

MEAN, LOG_VARIANCE = "latent_mean", "latent_log_variance"
"""Names of the two dense layers inside."""


class Latent(keras.layers.Layer):  # type: ignore[misc]
    """`(batch, inputs)` to a latent `(batch, units)`: its mean when forecasting, a draw around it in training.

    The draw is `mean + exp(log_variance / 2) * noise` with noise from the layer's own seed. In training the layer
    adds `KL_WEIGHT` times the divergence from the standard normal, summed over units and averaged over the batch.
    """

    def __init__(self, units: int, seed: int, name: str | None = None) -> None:
        """Make the layer.

        Args:
            units: Width of the latent.
            seed: Seed of starting weights and noise.
            name: Name of the layer.
        """
        super().__init__(name=name)
        self._units = units
        self._mean = keras.layers.Dense(
            units, kernel_initializer=keras.initializers.GlorotUniform(seed=seed), name=MEAN
        )
        self._log_variance = keras.layers.Dense(
            units, kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 1), name=LOG_VARIANCE
        )
        self._noise = keras.random.SeedGenerator(seed + 2)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make both dense layers for inputs of a shape."""
        self._mean.build(input_shape)
        self._log_variance.build(input_shape)
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """`(batch, units)`."""
        return (*input_shape[:-1], self._units)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The mean, or in training a draw around it.

        Args:
            inputs: Tensor `(batch, inputs)`.
            training: Whether noise and divergence are wanted.
        """
        mean = self._mean(inputs)
        if not training:
            return mean
        log_variance = self._log_variance(inputs)
        divergence = 0.5 * keras.ops.sum(
            keras.ops.exp(log_variance) + keras.ops.square(mean) - 1.0 - log_variance, axis=-1
        )
        self.add_loss(KL_WEIGHT * keras.ops.mean(divergence))
        noise = keras.random.normal(keras.ops.shape(mean), seed=self._noise)
        return mean + keras.ops.exp(0.5 * log_variance) * noise
