"""A network over market frames in a backtest: asked for every date of a fold at once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.backtest.protocols import ForecastHistory, Serving, between, history_of
from models.config import MIN_HISTORY_NETWORK
from models.forecasting.ensemble import mean_over_seeds
from models.forecasting.spatiotemporal.forecaster import SpatiotemporalForecaster
from models.forecasting.spatiotemporal.images import image_cells, market_images
from models.forecasting.spatiotemporal.layout import NO_ROW
from models.preprocessing.frame import Panel


@dataclass(frozen=True, slots=True)
class FittedSpatiotemporalForecaster(Serving[SpatiotemporalForecaster]):
    """A trained network over market frames.

    Attributes:
        facts: Figures of its training.
    """

    facts: Mapping[str, Any]

    def history(self, panel: Panel, first: np.datetime64, last: np.datetime64) -> ForecastHistory:
        """See `contract.FittedForecaster`; symbols without a row in the layout are left out."""
        pipeline = self.forecaster.pipeline
        # As in serving, a young symbol is seen in the frame before it gets a forecast of its own.
        seen = between(pipeline.windows.windows(panel, require_targets=False), first, last)
        asked = pipeline.windows.windows(panel, require_targets=False, min_bars=MIN_HISTORY_NETWORK)
        rows = pipeline.layout.rows_of(panel)
        windows = between(asked, first, last)
        windows = windows.select(np.flatnonzero(rows[windows.symbol_index] != NO_ROW))
        frames = market_images(seen, windows, rows, len(pipeline.layout.symbols))
        at = image_cells(windows, frames.as_of, rows)
        each = [answer[at] for answer in self.forecaster.seed_quantiles(frames)]
        seeds = dict(zip(self.config.seeds, each, strict=True)) if len(each) > 1 else {}
        return replace(history_of(windows, mean_over_seeds(each)), facts=self.facts, seeds=seeds)
