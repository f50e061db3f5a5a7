"""One interface to window and spatiotemporal networks: fitting by name, and forecasts of the fitted network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from models.config import ModelConfig
from models.forecasting.artifact import Artifact
from models.networks.lstm_numpy import Weights
from models.networks.spatiotemporal.registry import SPATIOTEMPORAL_NETWORKS
from models.preprocessing.price_history import FloatArray, Panel
from models.preprocessing.splits import Spans
from models.preprocessing.windows import PooledWindows
from models.training.device import THIS_PROCESS, Compute, DeviceUse
from models.training.fit_network import FittedNetwork, fit_network, from_trained_seeds
from models.training.fit_seed import EpochEnd
from models.training.spatiotemporal.fit_network import (
    FittedSpatiotemporalNetwork,
    fit_spatiotemporal,
    spatiotemporal_from_trained_seeds,
)

Fitted = FittedNetwork | FittedSpatiotemporalNetwork

VERSION = -1
"""Position of the fit of a version itself; the folds of its evidence have 0 and up."""


class SpansFit(Protocol):
    """Fits the network of a config on given spans: in this process, or from seeds that were trained elsewhere."""

    def __call__(
        self,
        panel: Panel,
        config: ModelConfig,
        spans: Spans,
        report: Callable[[EpochEnd], None],
        start: Artifact | None = None,
        fold: int = VERSION,
        /,
    ) -> Fitted:
        """Fit as `fit_config`; `fold` is the position of an evidence fold."""
        ...


@dataclass(frozen=True, slots=True)
class TrainedSeed:
    """One trained seed, as it leaves the process that trained it.

    Attributes:
        seed: The seed.
        weights: Its arrays by name, as they are saved.
        val_loss: Its lowest validation loss.
        epochs: Number of its epochs.
        is_warm: Whether it started from served weights.
        device: What it was trained on; None = not recorded.
    """

    seed: int
    weights: Weights
    val_loss: float
    epochs: int
    is_warm: bool
    device: DeviceUse | None = None


def fit_config(
    panel: Panel,
    config: ModelConfig,
    spans: Spans,
    report: Callable[[EpochEnd], None],
    start: Artifact | None = None,
    compute: Compute = THIS_PROCESS,
) -> Fitted:
    """Fit the network that a config names, over windows or spatiotemporal.

    Calls `fit_network.fit_network` or `spatiotemporal.fit_network.fit_spatiotemporal`; see there.
    """
    fit = fit_spatiotemporal if config.forecaster in SPATIOTEMPORAL_NETWORKS else fit_network
    return fit(panel, config, spans, report, start, compute)


def forecast_windows(fitted: Fitted, windows: PooledWindows) -> tuple[PooledWindows, list[FloatArray]]:
    """Return the forecasts of a fitted network for some of its windows.

    Args:
        fitted: The network.
        windows: A selection of `fitted.windows`.

    Returns:
        The windows with a forecast (a spatiotemporal network leaves out symbols without a row), and for each seed
        `(windows, horizon, 7)` cumulative log returns.

    Raises:
        TooLittleHistory: No window is left.
    """
    if isinstance(fitted, FittedSpatiotemporalNetwork):
        forecast = fitted.with_row(windows)
        return forecast, fitted.seed_quantiles(forecast)
    return windows, fitted.forecaster.seed_quantiles(windows)


def fit_on(compute: Compute) -> SpansFit:
    """Return the `SpansFit` that trains where a `Compute` says."""

    def fit(
        panel: Panel,
        config: ModelConfig,
        spans: Spans,
        report: Callable[[EpochEnd], None],
        start: Artifact | None = None,
        _fold: int = VERSION,
        /,
    ) -> Fitted:
        return fit_config(panel, config, spans, report, start, compute)

    return fit


def fit_seed_alone(
    panel: Panel,
    config: ModelConfig,
    spans: Spans,
    report: Callable[[EpochEnd], None],
    start: Artifact | None,
    compute: Compute,
) -> TrainedSeed:
    """Fit a config with one seed; the result is that of this seed in `fit_config` of a config with more.

    Args:
        panel: As in `fit_config`, like `spans`, `report`, `start` and `compute`.
        config: Config with the seed.
    """
    (seed,) = config.seeds
    fitted = fit_config(panel, config, spans, report, start, compute)
    weights = fitted.forecaster.weights[seed]
    return TrainedSeed(seed, weights, fitted.val_losses[0], fitted.epochs[0], fitted.is_warm, fitted.device)


def join_seeds(
    panel: Panel, config: ModelConfig, spans: Spans, seeds: Sequence[TrainedSeed], start: Artifact | None = None
) -> Fitted:
    """Return the fitted network of a config from all of its seeds; nothing is trained.

    Args:
        panel: As in `fit_config`, like `spans` and `start`.
        config: Config with all of its seeds.
        seeds: Each of them, in any order.
    """
    by_seed: Mapping[int, TrainedSeed] = {trained.seed: trained for trained in seeds}
    ordered = [by_seed[seed] for seed in config.seeds]
    weights = {trained.seed: trained.weights for trained in ordered}
    losses, epochs = tuple(each.val_loss for each in ordered), tuple(each.epochs for each in ordered)
    is_warm = all(each.is_warm for each in ordered)
    device = ordered[0].device
    if config.forecaster in SPATIOTEMPORAL_NETWORKS:
        fitted = spatiotemporal_from_trained_seeds(panel, config, spans, weights, start if is_warm else None)
        return replace(fitted, val_losses=losses, epochs=epochs, is_warm=is_warm, device=device)
    windowed = from_trained_seeds(panel, config, spans, weights)
    return replace(windowed, val_losses=losses, epochs=epochs, is_warm=is_warm, device=device)


fit_here: SpansFit = fit_on(THIS_PROCESS)
"""Fits in this process, one seed after another."""
