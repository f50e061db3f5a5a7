"""Forecasts by a network over market frames, without a framework.

A symbol's forecast depends on which other symbols of its calendar are in the panel: hand in all of them. One
that is absent is masked, which does not block the others.
"""

from collections.abc import Mapping

import numpy as np

from models.config import QUANTILES, ModelConfig
from models.errors import ArtifactError
from models.forecaster import ForecastBatch, SkippedSymbol
from models.forecasting.ensemble import mean_over_seeds, weights_in_order
from models.forecasting.spatiotemporal.images import CHANNELS, MarketImages, cells, market_images
from models.forecasting.spatiotemporal.pipeline import MarketPipeline
from models.networks.lstm_numpy import Weights
from models.networks.spatiotemporal.config import SpatiotemporalSpec
from models.networks.spatiotemporal.registry import forward_checked, spatiotemporal_network
from models.preprocessing.frame import FloatArray, Panel
from models.preprocessing.windows import Float32Array

DATES_AT_ONCE = 64
"""Samples that are gathered and forecast at once."""


def spatiotemporal_spec(config: ModelConfig, pipeline: MarketPipeline, seed: int) -> SpatiotemporalSpec:
    """The network that a recipe asks for over a fitted market."""
    rows, columns = len(pipeline.layout.symbols), len(pipeline.windows.feature_names)
    return SpatiotemporalSpec(config.lookback, rows, columns, CHANNELS, config.units, config.horizon, seed)


class SpatiotemporalForecaster:
    """A trained network over market frames: the mean of its seeds, quantile by quantile."""

    def __init__(self, config: ModelConfig, pipeline: MarketPipeline, weights: Mapping[int, Weights]) -> None:
        """Put a fitted pipeline and trained weights together.

        Args:
            recipe: How the network was made.
            pipeline: The pipeline and layout fitted for it.
            weights: Arrays by name for each of the recipe's seeds.

        Raises:
            ArtifactError: Seeds or shapes of the weights do not fit recipe and pipeline.
            UnknownNetwork: The recipe names no network over frames.
        """
        self._model_config, self._pipeline = config, pipeline
        self._network = spatiotemporal_network(config.forecaster)
        self._weights = weights_in_order(config, weights)
        self._spec = spatiotemporal_spec(config, pipeline, config.seeds[0])
        self._check_shapes()

    @property
    def config(self) -> ModelConfig:
        """How it was made."""
        return self._model_config

    @property
    def pipeline(self) -> MarketPipeline:
        """The fitted pipeline and layout that make its frames."""
        return self._pipeline

    @property
    def weights(self) -> Mapping[int, Weights]:
        """Arrays by name for each seed."""
        return dict(zip(self._model_config.seeds, self._weights, strict=True))

    def seed_quantiles(self, frames: MarketImages) -> list[FloatArray]:
        """Forecast every cell of some samples.

        Args:
            frames: `dates` samples laid out by this forecaster's pipeline.

        Returns:
            Per seed `(dates, rows, horizon, 7)` cumulative log returns, ascending along the last axis; all 0
            where a symbol has no window.
        """
        steps = np.sqrt(np.arange(1, self._model_config.horizon + 1))
        scale = (frames.sigma[:, :, None] * steps)[..., None]
        return [self._forward(weights, frames).astype(np.float64) * scale for weights in self._weights]

    def forecast(self, panel: Panel) -> ForecastBatch:
        """Forecast every frame of a panel from its last session (see `forecast.Forecaster`).

        A symbol that was not there in training, or trades on another calendar, is refused.
        """
        reasons = {
            frame.symbol: self._pipeline.layout.reason_against(frame, self._model_config.forecaster)
            for frame in panel.frames
        }
        known = Panel(tuple(frame for frame in panel.frames if reasons[frame.symbol] is None), panel.references)
        seen, windows, refused = self._pipeline.newest(known)
        reasons.update({refusal.symbol: refusal.reason for refusal in refused})
        degraded = self._pipeline.windows.degraded(known)
        chosen = [int(index) for index in windows.symbol_index]
        rows = self._pipeline.layout.rows_of(known)
        frames = market_images(seen, windows, rows, self._spec.rows)
        mean = mean_over_seeds(self.seed_quantiles(frames))
        return ForecastBatch(
            symbols=tuple(known.frames[index].symbol for index in chosen),
            quantiles=mean[cells(windows, frames.as_of, rows)],
            sigma=windows.sigma,
            last_close=np.array([known.frames[index].close[-1] for index in chosen], dtype=np.float64),
            degraded=tuple(degraded[index] for index in chosen),
            skipped=tuple(SkippedSymbol(symbol, reason) for symbol, reason in reasons.items() if reason is not None),
        )

    def _forward(self, weights: Weights, frames: MarketImages) -> Float32Array:
        shape = (0, self._spec.rows, self._model_config.horizon, len(QUANTILES))
        parts = [np.empty(shape, np.float32)]
        for start in range(0, len(frames), DATES_AT_ONCE):
            gathered = frames.gather(slice(start, start + DATES_AT_ONCE))
            parts.append(forward_checked(self._network, self._spec, weights, gathered))
        return np.concatenate(parts)

    def _check_shapes(self) -> None:
        """Run one sample of zeros through every seed, so that a misfit is told when loading."""
        spec = self._spec
        sample = np.zeros((1, spec.frames, spec.rows, spec.columns, spec.channels), np.float32)
        expected = (1, spec.rows, spec.horizon, len(QUANTILES))
        for weights in self._weights:
            found = forward_checked(self._network, spec, weights, sample).shape
            if found != expected:
                raise ArtifactError(f"the weights answer {found}, the recipe needs {expected}; train it again")


def market_forecaster(
    config: ModelConfig, pipeline: Mapping[str, object], weights: Mapping[int, Weights]
) -> SpatiotemporalForecaster:
    """The forecaster of an artifact's parts.

    Raises:
        ArtifactError: The parts do not fit each other.
    """
    return SpatiotemporalForecaster(config, MarketPipeline.from_dict(pipeline), weights)
