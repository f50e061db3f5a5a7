"""A fitted pipeline together with the layout of its market: what an artifact keeps to make frames."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.config import INPUT_MEMORY
from models.errors import ArtifactError
from models.forecaster import SkippedSymbol
from models.forecasting.spatiotemporal.layout import MarketLayout
from models.preprocessing.frame import Panel
from models.preprocessing.pipeline import Pipeline
from models.preprocessing.windows import MIN_BARS_TRAINING, PooledWindows


@dataclass(frozen=True, slots=True)
class MarketPipeline:
    """From a panel to market frames, fitted and frozen.

    Attributes:
        windows: Features, scaling and windows, as for the networks over windows.
        layout: The rows.
    """

    windows: Pipeline
    layout: MarketLayout

    def newest(self, panel: Panel) -> tuple[PooledWindows, PooledWindows, tuple[SkippedSymbol, ...]]:
        """The windows that end at the last session of a panel's frames, as training would cut them there.

        A symbol too young for a forecast of its own stands in the frame all the same once training would put it
        there, so that the others' forecasts see what they saw in training.

        Args:
            panel: Frames that end at as_of, every one with a row.

        Returns:
            The windows that are seen; those of them that get a forecast; and a refusal for each other frame.
        """
        asked, refusals = self.windows.newest(panel)
        reach = INPUT_MEMORY + self.windows.lookback
        tails = tuple(frame.slice(max(0, len(frame) - reach), len(frame)) for frame in panel.frames)
        seen = self.windows.windows(Panel(tails, panel.references), require_targets=False, min_bars=1)
        bars = np.array([int((~np.isnan(frame.close)).sum()) for frame in panel.frames], dtype=np.int64)
        last = np.cumsum([len(tail) for tail in tails], dtype=np.int64) - 1
        at_as_of = (seen.ends == last[seen.symbol_index]) & (bars[seen.symbol_index] >= MIN_BARS_TRAINING)
        seen = seen.select(np.flatnonzero(at_as_of))
        return seen, seen.select(np.flatnonzero(np.isin(seen.symbol_index, asked.symbol_index))), refusals

    def to_dict(self) -> dict[str, object]:
        """Plain JSON-able form: that of the pipeline, and the layout beside it."""
        return {**self.windows.to_dict(), "layout": self.layout.to_dict()}

    @staticmethod
    def from_dict(data: Mapping[str, object]) -> "MarketPipeline":
        """Rebuild from `to_dict`.

        Raises:
            ArtifactError: A part cannot be read, or was fitted on other inputs than this version makes.
        """
        layout = data.get("layout")
        if not isinstance(layout, Mapping):
            raise ArtifactError("the stored pipeline has no layout of a market; train the version again")
        return MarketPipeline(Pipeline.from_dict(dict(data)), MarketLayout.from_dict(layout))
