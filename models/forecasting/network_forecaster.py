"""Forecasts from a saved artifact, without a framework.

Training tests a network through the same class that serves it, so that the tested forecasts are the served ones.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from models.baselines import RandomWalk
from models.config import QUANTILES, ModelConfig
from models.errors import ArtifactError, UnknownNetwork
from models.forecaster import ForecastBatch, Forecaster
from models.forecasting.artifact import Artifact, load_artifact
from models.forecasting.ensemble import mean_over_seeds, weights_in_order
from models.forecasting.spatiotemporal.forecaster import build_spatiotemporal_forecaster
from models.networks import get_network
from models.networks.lstm_numpy import Weights
from models.networks.spatiotemporal.registry import SPATIOTEMPORAL_NETWORKS
from models.preprocessing.pipeline import Pipeline
from models.preprocessing.price_history import FloatArray, Panel
from models.preprocessing.windows import Float32Array, PooledWindows

RANDOM_WALK = "random_walk"
"""Forecaster name in the artifacts of the baseline."""


class NetworkForecaster:
    """A trained window network: the mean of its seeds, quantile by quantile."""

    def __init__(self, config: ModelConfig, pipeline: Pipeline, weights: Mapping[int, Weights]) -> None:
        """Combine a fitted pipeline and trained weights.

        Args:
            config: How the network was made.
            pipeline: The pipeline fitted for it.
            weights: Arrays by name for each of the config's seeds.

        Raises:
            ArtifactError: Seeds or shapes of the weights do not match config and pipeline.
            UnknownNetwork: The network of the config is not registered.
        """
        self._model_config, self._pipeline = config, pipeline
        self._forward = get_network(config.forecaster).forward
        self._weights = weights_in_order(config, weights)
        self._check_shapes()

    @property
    def config(self) -> ModelConfig:
        """Configuration of the network."""
        return self._model_config

    @property
    def pipeline(self) -> Pipeline:
        """Fitted pipeline that makes the inputs."""
        return self._pipeline

    @property
    def weights(self) -> Mapping[int, Weights]:
        """Arrays by name for each seed."""
        return dict(zip(self._model_config.seeds, self._weights, strict=True))

    def quantiles(self, windows: PooledWindows) -> FloatArray:
        """Forecast windows of this pipeline.

        Args:
            windows: `n` windows cut by this forecaster's pipeline.

        Returns:
            `(n, horizon, 7)` cumulative log returns, ascending along the last axis: the mean over seeds.
        """
        return mean_over_seeds(self.seed_quantiles(windows))

    def seed_quantiles(self, windows: PooledWindows) -> list[FloatArray]:
        """Return `quantiles` for each seed, in the config's order."""
        return self._quantiles_of_seeds(windows.gather(), windows.sigma)

    def gathered_quantiles(self, inputs: Float32Array, sigma: FloatArray) -> FloatArray:
        """Return `quantiles` of gathered windows.

        Args:
            inputs: `(n, lookback, features)`, as `PooledWindows.gather` returns them.
            sigma: `(n,)` volatility known at the end of each window.
        """
        return mean_over_seeds(self._quantiles_of_seeds(inputs, sigma))

    def _quantiles_of_seeds(self, inputs: Float32Array, sigma: FloatArray) -> list[FloatArray]:
        if not len(inputs):  # every symbol is skipped: a forward pass needs a window
            return [np.empty((0, self._model_config.horizon, len(QUANTILES))) for _ in self._weights]
        scale = sigma[:, None] * np.sqrt(np.arange(1, self._model_config.horizon + 1))
        return [self._forward(weights, inputs).astype(np.float64) * scale[:, :, None] for weights in self._weights]

    def forecast(self, panel: Panel) -> ForecastBatch:
        """Forecast each symbol of a panel from its last session (see `forecaster.Forecaster`)."""
        windows, skipped = self._pipeline.newest(panel)
        degraded = self._pipeline.degraded(panel)
        chosen = [int(index) for index in windows.symbol_index]
        return ForecastBatch(
            symbols=tuple(panel.histories[index].symbol for index in chosen),
            quantiles=self.quantiles(windows),
            sigma=windows.sigma,
            last_close=np.array([panel.histories[index].close[-1] for index in chosen], dtype=np.float64),
            degraded=tuple(degraded[index] for index in chosen),
            skipped=skipped,
        )

    def _check_shapes(self) -> None:
        """Run one window of zeros through each seed, so that wrong shapes are reported at loading."""
        window = np.zeros((1, self._model_config.lookback, len(self._pipeline.feature_names)), np.float32)
        expected = (1, self._model_config.horizon, len(QUANTILES))
        for weights in self._weights:
            try:
                shape = self._forward(weights, window).shape
            except (ValueError, KeyError, IndexError, TypeError) as error:
                raise ArtifactError(f"the weights do not fit together ({error!r}); train the version again") from error
            if shape != expected:
                raise ArtifactError(f"the weights return shape {shape}, the config needs {expected}; train it again")


def build_forecaster(artifact: Artifact) -> Forecaster:
    """Return the forecaster that an artifact holds, network or random walk.

    Raises:
        ArtifactError: Its parts do not match, or this version has no network of that name.
    """
    if artifact.config.forecaster == RANDOM_WALK:
        return RandomWalk.from_dict(dict(artifact.pipeline))
    if artifact.config.forecaster in SPATIOTEMPORAL_NETWORKS:
        return build_spatiotemporal_forecaster(artifact.config, artifact.pipeline, artifact.weights)
    pipeline = Pipeline.from_dict(dict(artifact.pipeline))
    try:
        return NetworkForecaster(artifact.config, pipeline, artifact.weights)
    except UnknownNetwork as error:
        raise ArtifactError(f"the artifact needs a network that this version lacks: {error}") from error


def load_forecaster(path: Path, sha256: str) -> Forecaster:
    """Load a saved forecaster.

    Args:
        path: The artifact's folder.
        sha256: The hash stored elsewhere, checked before anything is parsed.

    Raises:
        ArtifactError: The artifact is absent, changed, of another format or of an unknown network, or its
            parts do not match.
    """
    return build_forecaster(load_artifact(path, sha256))
