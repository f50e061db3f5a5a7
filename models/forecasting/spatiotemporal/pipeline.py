"""A fitted pipeline with the layout of its market: the part of an artifact that makes images."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.config import INPUT_MEMORY
from models.errors import ArtifactError
from models.forecaster import SkippedSymbol
from models.forecasting.spatiotemporal.layout import MarketLayout
from models.preprocessing.pipeline import Pipeline
from models.preprocessing.price_history import Panel
from models.preprocessing.windows import MIN_BARS_TRAINING, PooledWindows


@dataclass(frozen=True, slots=True)
class MarketPipeline:
    """Makes market images from a panel; fitted and frozen.

    Attributes:
        windows: Features, scaling and windows, as for the window networks.
        layout: Rows of the images.
    """

    windows: Pipeline
    layout: MarketLayout

    def newest(self, panel: Panel) -> tuple[PooledWindows, PooledWindows, tuple[SkippedSymbol, ...]]:
        """Return the windows that end at the last session of each symbol, as training would cut them there.

        A symbol with too short a history for its own forecast is in the image as soon as training would place it
        there, so that the forecasts of the others use the same inputs as in training.

        Args:
            panel: Price histories that end at as_of, all with a row.

        Returns:
            The windows that are inputs; those of them that are forecast; and a reason for each other symbol.
        """
        forecast, skipped = self.windows.newest(panel)
        reach = INPUT_MEMORY + self.windows.lookback
        tails = tuple(history.slice(max(0, len(history) - reach), len(history)) for history in panel.histories)
        inputs = self.windows.windows(Panel(tails, panel.references), require_targets=False, min_bars=1)
        bars = np.array([int((~np.isnan(history.close)).sum()) for history in panel.histories], dtype=np.int64)
        last = np.cumsum([len(tail) for tail in tails], dtype=np.int64) - 1
        at_as_of = (inputs.ends == last[inputs.symbol_index]) & (bars[inputs.symbol_index] >= MIN_BARS_TRAINING)
        inputs = inputs.select(np.flatnonzero(at_as_of))
        forecast_windows = inputs.select(np.flatnonzero(np.isin(inputs.symbol_index, forecast.symbol_index)))
        return inputs, forecast_windows, skipped

    def to_dict(self) -> dict[str, object]:
        """Return the pipeline with its layout as a JSON-serializable dictionary."""
        return {**self.windows.to_dict(), "layout": self.layout.to_dict()}

    @staticmethod
    def from_dict(data: Mapping[str, object]) -> "MarketPipeline":
        """Rebuild from `to_dict`.

        Raises:
            ArtifactError: A part cannot be read, or was fitted on inputs that this version does not make.
        """
        layout = data.get("layout")
        if not isinstance(layout, Mapping):
            raise ArtifactError("the stored pipeline has no market layout; train the version again")
        return MarketPipeline(Pipeline.from_dict(dict(data)), MarketLayout.from_dict(layout))
