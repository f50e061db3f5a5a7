"""Fit one window network on given spans: pipeline, then the seeds.

It reads spans, not instants: `models.training.train` chooses the spans.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.config import ModelConfig
from models.errors import PriceHistoryError
from models.forecasting.artifact import Artifact
from models.forecasting.network_forecaster import NetworkForecaster
from models.networks.lstm_numpy import Weights
from models.preprocessing.pipeline import Pipeline
from models.preprocessing.price_history import Panel
from models.preprocessing.splits import Spans
from models.preprocessing.windows import PooledWindows, training_windows
from models.training.device import THIS_PROCESS, Compute, DeviceUse
from models.training.fit_seed import EpochEnd
from models.training.seeds.fit_seeds import FitTask
from models.training.seeds.processes import fit_all_seeds


@dataclass(frozen=True, slots=True)
class FittedNetwork:
    """A trained window network.

    Attributes:
        forecaster: All seeds with their common pipeline.
        windows: All windows of the panel with known targets, in the order of the spans' masks.
        val_losses: Lowest validation loss of each seed.
        epochs: Number of epochs of each seed, including those after the best.
        is_warm: Whether all seeds started from served weights.
        device: What it was trained on; None = not recorded.
    """

    forecaster: NetworkForecaster
    windows: PooledWindows
    val_losses: tuple[float, ...]
    epochs: tuple[int, ...]
    is_warm: bool = False
    device: DeviceUse | None = None


def fit_network(
    panel: Panel,
    config: ModelConfig,
    spans: Spans,
    report: Callable[[EpochEnd], None],
    start: Artifact | None = None,
    compute: Compute = THIS_PROCESS,
) -> FittedNetwork:
    """Fit the pipeline on the training span, then train each seed with early stopping.

    Args:
        panel: Price histories and references; may reach beyond the spans.
        config: Network, sizes, rates and seeds.
        spans: Cut on the windows of this panel and config with `require_targets=True`.
        report: Called after each epoch.
        start: A served version of the same config to start from, see `fit_seed.served_weights`; None = initial
            weights.
        compute: Where to train.

    Raises:
        DeviceError: A GPU is required and the framework finds none.
        PriceHistoryError: The spans were cut on other windows.
        TooLittleHistory: The training span has no window or no known volatility.
        UnknownNetwork: The network of the config is not registered.
    """
    pipeline, windows = Pipeline.fit_windows(panel, config, spans.train_until, require_targets=True)
    check_spans(spans, windows)
    task = FitTask(
        config,
        training_windows(windows.select(spans.train)),
        training_windows(windows.select(spans.validation)),
        masked_columns(pipeline),
        {} if start is None else start.weights,
    )
    seeds = fit_all_seeds(task, report, compute)
    weights = {seed: fitted.weights for seed, fitted in zip(config.seeds, seeds, strict=True)}
    forecaster = NetworkForecaster(config, pipeline, weights)
    return FittedNetwork(
        forecaster,
        windows,
        tuple(fitted.val_loss for fitted in seeds),
        tuple(fitted.epochs for fitted in seeds),
        all(fitted.is_warm for fitted in seeds),
        seeds[0].device,
    )


def from_trained_seeds(
    panel: Panel, config: ModelConfig, spans: Spans, weights: Mapping[int, Weights]
) -> FittedNetwork:
    """Return a fitted window network from weights that were trained elsewhere, without losses and epochs.

    Args:
        panel: As in `fit_network`, like `config` and `spans`.
        weights: Arrays by name of every seed, as `fit_network` returns them.
    """
    pipeline, windows = Pipeline.fit_windows(panel, config, spans.train_until, require_targets=True)
    check_spans(spans, windows)
    return FittedNetwork(NetworkForecaster(config, pipeline, weights), windows, (), ())


def check_spans(spans: Spans, windows: PooledWindows) -> None:
    """Raise an error if the spans were cut on other windows.

    Raises:
        PriceHistoryError: Their masks are for another number of windows.
    """
    if len(windows) != len(spans.train):
        raise PriceHistoryError(
            f"the spans were cut on {len(spans.train)} windows, this panel has {len(windows)}; "
            "cut them on the same panel with require_targets=True"
        )


def masked_columns(pipeline: Pipeline) -> NDArray[np.float32]:
    """Return `(references, features)`, 1 where the mask of a reference zeroes the column."""
    masked = np.zeros((len(pipeline.mask_columns), len(pipeline.feature_names)), np.float32)
    for reference, columns in enumerate(pipeline.mask_columns):
        masked[reference, list(columns)] = 1.0
    return masked
