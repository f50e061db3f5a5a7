"""A random latent between encoder and decoder (Kingma and Welling 2014)."""

from typing import Any

import keras

KL_WEIGHT = 1e-3
"""Weight of the Kullback-Leibler term, summed over the latent's units, which is added to the loss of the forecasts."""

MEAN, LOG_VARIANCE = "latent_mean", "latent_log_variance"
"""Names of the two inner dense layers."""


class Latent(keras.layers.Layer):  # type: ignore[misc]
    """Layer from `(batch, inputs)` to a latent `(batch, units)`: its mean in inference, a sample in training.

    The sample is `mean + exp(log_variance / 2) * noise` with noise from the layer's own seed. In training the layer
    adds `KL_WEIGHT` times the divergence from the standard normal, summed over units and averaged over the batch.
    """

    def __init__(self, units: int, seed: int, name: str | None = None) -> None:
        """Create the layer.

        Args:
            units: Width of the latent.
            seed: Seed of initial weights and noise.
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
        """Build both dense layers for inputs of a shape."""
        self._mean.build(input_shape)
        self._log_variance.build(input_shape)
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return `(batch, units)`."""
        return (*input_shape[:-1], self._units)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the mean, or in training a sample.

        Args:
            inputs: Tensor `(batch, inputs)`.
            training: Whether noise and the divergence are added.
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
