"""Forecasts of a spatiotemporal network, without a framework.

The forecast of a symbol depends on which other symbols of its calendar are in the panel: pass all of them. An absent
symbol is masked, which does not block the others.
"""

from collections.abc import Mapping

import numpy as np

from models.config import QUANTILES, ModelConfig
from models.errors import ArtifactError
from models.forecaster import ForecastBatch, SkippedSymbol
from models.forecasting.ensemble import mean_over_seeds, weights_in_order
from models.forecasting.spatiotemporal.images import CHANNELS, MarketImages, image_cells, market_images
from models.forecasting.spatiotemporal.pipeline import MarketPipeline
from models.networks.lstm_numpy import Weights
from models.networks.spatiotemporal.config import SpatiotemporalSpec
from models.networks.spatiotemporal.registry import forward_checked, spatiotemporal_network
from models.preprocessing.price_history import FloatArray, Panel
from models.preprocessing.windows import Float32Array

DATES_PER_BATCH = 64
"""Samples per batch."""


def spatiotemporal_spec(config: ModelConfig, pipeline: MarketPipeline, seed: int) -> SpatiotemporalSpec:
    """Return the network spec of a config for a fitted layout."""
    rows, columns = len(pipeline.layout.symbols), len(pipeline.windows.feature_names)
    return SpatiotemporalSpec(config.lookback, rows, columns, CHANNELS, config.units, config.horizon, seed)


class SpatiotemporalForecaster:
    """A trained spatiotemporal network: the mean of its seeds, quantile by quantile."""

    def __init__(self, config: ModelConfig, pipeline: MarketPipeline, weights: Mapping[int, Weights]) -> None:
        """Combine a fitted pipeline and trained weights.

        Args:
            config: How the network was made.
            pipeline: The pipeline and layout fitted for it.
            weights: Arrays by name for each of the config's seeds.

        Raises:
            ArtifactError: Seeds or shapes of the weights do not match config and pipeline.
            UnknownNetwork: The config names no spatiotemporal network.
        """
        self._model_config, self._pipeline = config, pipeline
        self._network = spatiotemporal_network(config.forecaster)
        self._weights = weights_in_order(config, weights)
        self._spec = spatiotemporal_spec(config, pipeline, config.seeds[0])
        self._check_shapes()

    @property
    def config(self) -> ModelConfig:
        """Configuration of the network."""
        return self._model_config

    @property
    def pipeline(self) -> MarketPipeline:
        """Fitted pipeline and layout that make the images."""
        return self._pipeline

    @property
    def weights(self) -> Mapping[int, Weights]:
        """Arrays by name for each seed."""
        return dict(zip(self._model_config.seeds, self._weights, strict=True))

    def seed_quantiles(self, images: MarketImages) -> list[FloatArray]:
        """Forecast all cells of some samples.

        Args:
            images: `dates` samples in the layout of this forecaster's pipeline.

        Returns:
            Per seed `(dates, rows, horizon, 7)` cumulative log returns, ascending along the last axis; all 0
            if a symbol has no window.
        """
        steps = np.sqrt(np.arange(1, self._model_config.horizon + 1))
        scale = (images.sigma[:, :, None] * steps)[..., None]
        return [self._forward(weights, images).astype(np.float64) * scale for weights in self._weights]

    def forecast(self, panel: Panel) -> ForecastBatch:
        """Forecast each symbol of a panel from its last session (see `forecaster.Forecaster`).

        A symbol without a row is skipped: one that was absent in training, or trades on another calendar.
        """
        reasons = {
            history.symbol: self._pipeline.layout.skip_reason(history, self._model_config.forecaster)
            for history in panel.histories
        }
        with_row = Panel(
            tuple(history for history in panel.histories if reasons[history.symbol] is None), panel.references
        )
        inputs, windows, skipped = self._pipeline.newest(with_row)
        reasons.update({each.symbol: each.reason for each in skipped})
        degraded = self._pipeline.windows.degraded(with_row)
        chosen = [int(index) for index in windows.symbol_index]
        rows = self._pipeline.layout.rows_of(with_row)
        images = market_images(inputs, windows, rows, self._spec.rows)
        mean = mean_over_seeds(self.seed_quantiles(images))
        return ForecastBatch(
            symbols=tuple(with_row.histories[index].symbol for index in chosen),
            quantiles=mean[image_cells(windows, images.as_of, rows)],
            sigma=windows.sigma,
            last_close=np.array([with_row.histories[index].close[-1] for index in chosen], dtype=np.float64),
            degraded=tuple(degraded[index] for index in chosen),
            skipped=tuple(SkippedSymbol(symbol, reason) for symbol, reason in reasons.items() if reason is not None),
        )

    def _forward(self, weights: Weights, images: MarketImages) -> Float32Array:
        shape = (0, self._spec.rows, self._model_config.horizon, len(QUANTILES))
        parts = [np.empty(shape, np.float32)]
        for start in range(0, len(images), DATES_PER_BATCH):
            gathered = images.gather(slice(start, start + DATES_PER_BATCH))
            parts.append(forward_checked(self._network, self._spec, weights, gathered))
        return np.concatenate(parts)

    def _check_shapes(self) -> None:
        """Run one sample of zeros through each seed, so that wrong shapes are reported at loading."""
        spec = self._spec
        sample = np.zeros((1, spec.frames, spec.rows, spec.columns, spec.channels), np.float32)
        expected = (1, spec.rows, spec.horizon, len(QUANTILES))
        for weights in self._weights:
            shape = forward_checked(self._network, spec, weights, sample).shape
            if shape != expected:
                raise ArtifactError(
                    f"the weights return the shape {shape}, the config needs {expected}; train it again"
                )


def build_spatiotemporal_forecaster(
    config: ModelConfig, pipeline: Mapping[str, object], weights: Mapping[int, Weights]
) -> SpatiotemporalForecaster:
    """Return the forecaster of an artifact's parts.

    Raises:
        ArtifactError: The parts do not match.
    """
    return SpatiotemporalForecaster(config, MarketPipeline.from_dict(pipeline), weights)
