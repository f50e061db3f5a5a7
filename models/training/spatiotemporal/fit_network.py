"""Fits one network over market frames on given spans: pipeline, layout, seeds, early stopping.

The counterpart of `models.training.fit_network` for the networks over frames; spans, recipe and progress are the
same.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.config import ModelConfig
from models.errors import TooLittleHistory
from models.forecasting.ensemble import mean_over_seeds
from models.forecasting.spatiotemporal.forecaster import SpatiotemporalForecaster, spatiotemporal_spec
from models.forecasting.spatiotemporal.images import cells, market_images
from models.forecasting.spatiotemporal.layout import NO_ROW, fit_layout
from models.forecasting.spatiotemporal.pipeline import MarketPipeline
from models.networks.spatiotemporal.registry import with_kept_median
from models.preprocessing.frame import FloatArray, Panel
from models.preprocessing.pipeline import Pipeline
from models.preprocessing.splits import Spans
from models.preprocessing.windows import IntArray, PooledWindows
from models.training.fit_network import EpochEnd, check_spans, fit_seed, masked_columns
from models.training.spatiotemporal.image_loop import ImageLoop


@dataclass(frozen=True, slots=True)
class FittedSpatiotemporalNetwork:
    """A network over market frames after its training.

    Attributes:
        forecaster: Its seeds behind their common pipeline and layout.
        windows: Every window of the panel with known targets, in the order of the spans' masks; symbols
            without a row included.
        seen: Every window of the panel, what the frames are made of.
        rows: `(symbols,)` row of each position in the panel, -1 for none.
        stop_losses: Best stop-span loss of each seed.
        epochs: Epochs each seed ran, the ones after the best included.
    """

    forecaster: SpatiotemporalForecaster
    windows: PooledWindows
    seen: PooledWindows
    rows: IntArray
    stop_losses: tuple[float, ...]
    epochs: tuple[int, ...]

    def answered(self, windows: PooledWindows) -> PooledWindows:
        """Those of some windows whose symbol has a row.

        Raises:
            TooLittleHistory: None has.
        """
        chosen = windows.select(self.rows[windows.symbol_index] != NO_ROW)
        if not len(chosen):
            raise TooLittleHistory(
                f"none of the {len(windows)} windows is of a symbol that the network was trained on; "
                "bring symbols with a longer history"
            )
        return chosen

    def quantiles(self, windows: PooledWindows) -> FloatArray:
        """As `seed_quantiles`, the mean over seeds."""
        return mean_over_seeds(self.seed_quantiles(windows))

    def seed_quantiles(self, windows: PooledWindows) -> list[FloatArray]:
        """Forecast windows, each in the frame of all symbols that have one at its as_of.

        Args:
            windows: Among `windows`, all with a row: see `answered`.

        Returns:
            Per seed `(windows, horizon, 7)` cumulative log returns, ascending along the last axis.
        """
        height = len(self.forecaster.pipeline.layout.symbols)
        frames = market_images(self.seen, windows, self.rows, height)
        at = cells(windows, frames.as_of, self.rows)
        return [answer[at] for answer in self.forecaster.seed_quantiles(frames)]


def fit_spatiotemporal(
    panel: Panel, config: ModelConfig, spans: Spans, report: Callable[[EpochEnd], None]
) -> FittedSpatiotemporalNetwork:
    """Fit pipeline and layout on the fit span, then every seed, stopping each on the stop span.

    Args:
        panel: Frames and references; may reach beyond the spans. Of several calendars the one with most symbols
            is trained, the symbols of the others get no row.
        recipe: A network over frames, sizes, rates and seeds.
        spans: Cut on the windows of this panel and recipe with `require_targets=True`.
        report: Called after each epoch.

    Raises:
        FrameError: The spans were cut on other windows.
        TooLittleHistory: The fit span or the calendar's stop span has no window.
        UnknownNetwork: The recipe names no network over frames.
    """
    pipeline = Pipeline.fit(panel, config, spans.train_until)
    seen = pipeline.windows(panel, require_targets=False)
    windows = seen.select(np.flatnonzero(~np.isnan(seen.targets).any(axis=1)))
    check_spans(spans, windows)
    layout = fit_layout(panel, windows.symbol_index[spans.train], spans.train_until)
    market, rows = MarketPipeline(pipeline, layout), layout.rows_of(panel)
    size = spatiotemporal_spec(config, market, config.seeds[0])
    fit, stop = (market_images(seen, windows.select(span), rows, size.rows) for span in (spans.train, spans.validation))
    if not len(stop):
        raise TooLittleHistory(f"no symbol of {layout.calendar} has a window in the stop span; bring more history")
    loop = ImageLoop(config, size, fit, masked_columns(pipeline))
    val_loss = loop.loss_on(stop)
    trained = [fit_seed(loop, config, seed, val_loss, report) for seed in config.seeds]
    medians = np.median(fit.targets[fit.counted], axis=0)
    weights = {
        seed: with_kept_median(best, config.median_share, medians)
        for seed, (best, _, _) in zip(config.seeds, trained, strict=True)
    }
    losses, epochs = tuple(loss for _, loss, _ in trained), tuple(count for _, _, count in trained)
    return FittedSpatiotemporalNetwork(
        SpatiotemporalForecaster(config, market, weights), windows, seen, rows, losses, epochs
    )
