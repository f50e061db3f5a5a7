"""Fit one spatiotemporal network on given spans: pipeline, layout, seeds, early stopping.

The counterpart of `models.training.fit_network` for spatiotemporal networks; spans, config and progress are the
same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from models.config import ModelConfig
from models.errors import DeviceError, TooLittleHistory
from models.forecasting.artifact import Artifact
from models.forecasting.ensemble import mean_over_seeds
from models.forecasting.spatiotemporal.forecaster import SpatiotemporalForecaster, spatiotemporal_spec
from models.forecasting.spatiotemporal.images import image_cells, market_images
from models.forecasting.spatiotemporal.layout import NO_ROW, MarketLayout, fit_layout
from models.forecasting.spatiotemporal.pipeline import MarketPipeline
from models.networks.lstm_numpy import Weights
from models.networks.spatiotemporal.registry import with_kept_median, without_kept_median
from models.preprocessing.pipeline import Pipeline
from models.preprocessing.price_history import FloatArray, Panel
from models.preprocessing.splits import Spans
from models.preprocessing.windows import IntArray, PooledWindows
from models.training.device import THIS_PROCESS, Compute, DeviceUse, use_device
from models.training.fit_network import check_spans, masked_columns
from models.training.fit_seed import EpochEnd, fit_seed, served_weights
from models.training.spatiotemporal.image_loop import ImageLoop


@dataclass(frozen=True, slots=True)
class FittedSpatiotemporalNetwork:
    """A trained spatiotemporal network.

    Attributes:
        forecaster: All seeds with their common pipeline and layout.
        windows: All windows of the panel with known targets, in the order of the spans' masks; symbols
            without a row included.
        inputs: All windows of the panel, which make up the images.
        rows: `(symbols,)` row of each position in the panel, -1 for none.
        val_losses: Lowest validation loss of each seed.
        epochs: Number of epochs of each seed, including those after the best.
        is_warm: Whether all seeds started from served weights.
        device: What it was trained on; None = not recorded.
    """

    forecaster: SpatiotemporalForecaster
    windows: PooledWindows
    inputs: PooledWindows
    rows: IntArray
    val_losses: tuple[float, ...]
    epochs: tuple[int, ...]
    is_warm: bool = False
    device: DeviceUse | None = None

    def with_row(self, windows: PooledWindows) -> PooledWindows:
        """Return those of some windows whose symbol has a row.

        Raises:
            TooLittleHistory: No window is left.
        """
        chosen = windows.select(self.rows[windows.symbol_index] != NO_ROW)
        if not len(chosen):
            raise TooLittleHistory(
                f"none of the {len(windows)} windows is of a symbol that the network was trained on; "
                "add symbols with a longer history"
            )
        return chosen

    def quantiles(self, windows: PooledWindows) -> FloatArray:
        """Return the mean of `seed_quantiles` over the seeds."""
        return mean_over_seeds(self.seed_quantiles(windows))

    def seed_quantiles(self, windows: PooledWindows) -> list[FloatArray]:
        """Forecast windows, each in the images of all symbols that have a window at its as_of.

        Args:
            windows: A selection of `self.windows`, all with a row: see `with_row`.

        Returns:
            Per seed `(windows, horizon, 7)` cumulative log returns, ascending along the last axis.
        """
        height = len(self.forecaster.pipeline.layout.symbols)
        images = market_images(self.inputs, windows, self.rows, height)
        cells = image_cells(windows, images.as_of, self.rows)
        return [quantiles[cells] for quantiles in self.forecaster.seed_quantiles(images)]


def fit_spatiotemporal(
    panel: Panel,
    config: ModelConfig,
    spans: Spans,
    report: Callable[[EpochEnd], None],
    start: Artifact | None = None,
    compute: Compute = THIS_PROCESS,
) -> FittedSpatiotemporalNetwork:
    """Fit pipeline and layout on the training span, then train each seed with early stopping.

    Args:
        panel: Price histories and references; may reach beyond the spans. Of several calendars the one with most
            symbols is trained, the symbols of the others get no row.
        config: Spatiotemporal network, sizes, rates and seeds.
        spans: Cut on the windows of this panel and config with `require_targets=True`.
        report: Called after each epoch.
        start: A served version of the same config to start from; its weights belong to the rows of its symbols, so it
            is used, with its layout, only if the symbols are the same.
        compute: Where to train; the seeds are always trained in this process.

    Raises:
        DeviceError: A GPU is required and TensorFlow finds none, or Keras runs on another backend.
        PriceHistoryError: The spans were cut on other windows.
        TooLittleHistory: The training span or the calendar's validation span has no window.
        UnknownNetwork: The config names no spatiotemporal network.
    """
    device = use_device(compute.device)
    if not device.backend.startswith("tensorflow"):
        raise DeviceError(f"{config.forecaster} trains on TensorFlow only; set KERAS_BACKEND=tensorflow")
    market, inputs, windows, start = _prepared(panel, config, spans, start)
    layout = market.layout
    rows = layout.rows_of(panel)
    spec = spatiotemporal_spec(config, market, config.seeds[0])
    train, validation = (
        market_images(inputs, windows.select(span), rows, spec.rows) for span in (spans.train, spans.validation)
    )
    if not len(validation):
        raise TooLittleHistory(f"no symbol of {layout.calendar} has a window in the validation span; add more history")
    loop = ImageLoop(config, spec, train, masked_columns(market.windows))
    val_loss = loop.loss_on(validation)
    if start is not None:
        start = replace(start, weights={seed: without_kept_median(own) for seed, own in start.weights.items()})
    served = served_weights(loop, {} if start is None else start.weights)
    trained = [fit_seed(loop, config, seed, val_loss, report, served.get(seed)) for seed in config.seeds]
    medians = np.median(train.targets[train.counted], axis=0)
    weights = {
        seed: with_kept_median(best, config.median_share, medians)
        for seed, (best, _, _) in zip(config.seeds, trained, strict=True)
    }
    losses, epochs = tuple(loss for _, loss, _ in trained), tuple(count for _, _, count in trained)
    return FittedSpatiotemporalNetwork(
        SpatiotemporalForecaster(config, market, weights), windows, inputs, rows, losses, epochs, bool(served), device
    )


def spatiotemporal_from_trained_seeds(
    panel: Panel, config: ModelConfig, spans: Spans, weights: Mapping[int, Weights], start: Artifact | None
) -> FittedSpatiotemporalNetwork:
    """Return a fitted spatiotemporal network from weights that were trained elsewhere, without losses and epochs.

    Args:
        panel: As in `fit_spatiotemporal`, like `config` and `spans`.
        weights: Arrays by name of every seed, as `fit_spatiotemporal` returns them.
        start: The served version that the seeds started from, whose layout they have; None = initial weights.
    """
    market, inputs, windows, _ = _prepared(panel, config, spans, start)
    rows = market.layout.rows_of(panel)
    forecaster = SpatiotemporalForecaster(config, market, weights)
    return FittedSpatiotemporalNetwork(forecaster, windows, inputs, rows, (), ())


def _prepared(
    panel: Panel, config: ModelConfig, spans: Spans, start: Artifact | None
) -> tuple[MarketPipeline, PooledWindows, PooledWindows, Artifact | None]:
    """Return the pipeline, all windows, those with known targets, and the served version if its layout is used."""
    pipeline, inputs = Pipeline.fit_windows(panel, config, spans.train_until, require_targets=False)
    windows = inputs.select(np.flatnonzero(~np.isnan(inputs.targets).any(axis=1)))
    check_spans(spans, windows)
    layout = fit_layout(panel, windows.symbol_index[spans.train], spans.train_until)
    if start is not None:
        served_layout = MarketLayout.from_dict(start.pipeline["layout"])
        layout, start = (served_layout, start) if served_layout.has_symbols_of(layout) else (layout, None)
    return MarketPipeline(pipeline, layout), inputs, windows, start
