"""A spatiotemporal network in a backtest: it forecasts all dates of a fold in one call."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.backtest.protocols import ForecastHistory, ServingForecaster, between, build_history
from models.config import MIN_HISTORY_NETWORK
from models.forecasting.ensemble import mean_over_seeds
from models.forecasting.spatiotemporal.forecaster import SpatiotemporalForecaster
from models.forecasting.spatiotemporal.images import image_cells, market_images
from models.forecasting.spatiotemporal.layout import NO_ROW
from models.preprocessing.price_history import Panel


@dataclass(frozen=True, slots=True)
class FittedSpatiotemporalForecaster(ServingForecaster[SpatiotemporalForecaster]):
    """A trained spatiotemporal network.

    Attributes:
        facts: Figures of its training.
    """

    facts: Mapping[str, Any]

    def history(self, panel: Panel, first: np.datetime64, last: np.datetime64) -> ForecastHistory:
        """See `protocols.FittedForecaster`; symbols without a row in the layout are left out."""
        pipeline = self.forecaster.pipeline
        # As in serving, a symbol with a short history is in the images before it is forecast.
        inputs = between(pipeline.windows.windows(panel, require_targets=False), first, last)
        forecast = pipeline.windows.windows(panel, require_targets=False, min_bars=MIN_HISTORY_NETWORK)
        rows = pipeline.layout.rows_of(panel)
        windows = between(forecast, first, last)
        windows = windows.select(np.flatnonzero(rows[windows.symbol_index] != NO_ROW))
        images = market_images(inputs, windows, rows, len(pipeline.layout.symbols))
        cells = image_cells(windows, images.as_of, rows)
        seed_quantiles = [quantiles[cells] for quantiles in self.forecaster.seed_quantiles(images)]
        seeds = dict(zip(self.config.seeds, seed_quantiles, strict=True)) if len(seed_quantiles) > 1 else {}
        return replace(build_history(windows, mean_over_seeds(seed_quantiles)), facts=self.facts, seeds=seeds)
