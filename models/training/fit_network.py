"""Fits one network on given spans: pipeline, seeds, early stopping.

It knows spans, not instants: `models.training.train` decides where the spans lie.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.config import MEDIAN, QUANTILES, ModelConfig, Schedule
from models.errors import ArtifactError, FrameError
from models.forecasting.network_forecaster import NetworkForecaster
from models.networks.lstm_numpy import Weights
from models.preprocessing.frame import Panel
from models.preprocessing.pipeline import Pipeline
from models.preprocessing.splits import Spans
from models.preprocessing.windows import PooledWindows
from models.training.window_loop import CompiledLoop

RATE_CUT = 0.5
"""Factor on the learning rate after each epoch that does not better the stop-span loss."""


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """Where the training of one network stands.

    Attributes:
        seed: The seed being trained.
        epoch: Epochs done, from 1.
        val_loss: Loss on the stop span after this epoch, in units of the scaled targets.
        last: Whether this seed's training ends here.
    """

    seed: int
    epoch: int
    val_loss: float
    last: bool


class SeedLoop(Protocol):
    """A loop that trains one seed after the other: over windows, or over market frames."""

    def restart(self, seed: int) -> None:
        """Forget the last seed."""
        ...

    def set_rate(self, rate: float) -> None:
        """Set the optimiser's learning rate."""
        ...

    def epoch(self, seed: int, number: int) -> float:
        """Train over everything once; the mean training loss."""
        ...

    def weights(self) -> Weights:
        """The current weights by name, copied."""
        ...


@dataclass(frozen=True, slots=True)
class FittedNetwork:
    """A network after its training.

    Attributes:
        forecaster: Its seeds behind their common pipeline.
        windows: Every window of the panel with known targets, in the order of the spans' masks.
        stop_losses: Best stop-span loss of each seed.
        epochs: Epochs each seed ran, the ones after the best included.
    """

    forecaster: NetworkForecaster
    windows: PooledWindows
    stop_losses: tuple[float, ...]
    epochs: tuple[int, ...]


def fit_network(panel: Panel, config: ModelConfig, spans: Spans, report: Callable[[EpochEnd], None]) -> FittedNetwork:
    """Fit the pipeline on the fit span, then every seed, stopping each on the stop span.

    Args:
        panel: Frames and references; may reach beyond the spans.
        recipe: NetworkDefinition, sizes, rates and seeds.
        spans: Cut on the windows of this panel and recipe with `require_targets=True`.
        report: Called after each epoch.

    Raises:
        FrameError: The spans were cut on other windows.
        TooLittleHistory: The fit span has no window or no known volatility.
        UnknownNetwork: The recipe names a network that nobody registered.
    """
    pipeline = Pipeline.fit(panel, config, spans.train_until)
    windows = pipeline.windows(panel, require_targets=True)
    check_spans(spans, windows)
    loop = CompiledLoop(config, windows.select(spans.train), masked_columns(pipeline))
    val_loss = loop.loss_on(windows.select(spans.validation))
    weights: dict[int, Weights] = {}
    losses, epochs = [], []
    for seed in config.seeds:
        trained, loss, count = fit_seed(loop, config, seed, val_loss, report)
        weights[seed] = with_median_share(trained, loop.medians, config.median_share)
        losses.append(loss)
        epochs.append(count)
    return FittedNetwork(NetworkForecaster(config, pipeline, weights), windows, tuple(losses), tuple(epochs))


def check_spans(spans: Spans, windows: PooledWindows) -> None:
    """Refuse spans that were cut on other windows.

    Raises:
        FrameError: Their masks are for another number of windows.
    """
    if len(windows) != len(spans.train):
        raise FrameError(
            f"the spans were cut on {len(spans.train)} windows, this panel has {len(windows)}; "
            "cut them on the same panel with require_targets=True"
        )


def with_median_share(weights: Weights, medians: NDArray[np.float32], share: float) -> Weights:
    """Put a share of the median's way from the training targets' median, as the loop trained it, into the weights.

    The head's median is linear in its arrays and every quantile is spread out from it, so scaling them moves the
    whole forecast and leaves its width alone; what serves needs not know of it.

    Args:
        weights: Arrays of a network that ends in the quantile head over all steps at once (`head_kernel`,
            `head_bias`).
        medians: `(horizon,)` median of the training targets, in units of `sigma * sqrt(step)`.
        share: 0 answers these medians, 1 leaves the weights as they are.

    Returns:
        The arrays, the head's two altered.

    Raises:
        ArtifactError: A share below 1 is asked of a network with another head.
    """
    if share == 1:
        return weights
    found = {name: weights[name] for name in ("head_kernel", "head_bias") if name in weights}
    if len(found) < 2 or len(found["head_bias"]) != len(medians) * len(QUANTILES):
        raise ArtifactError(
            f"this network has no quantile head for {len(medians)} steps ({', '.join(sorted(weights))}); "
            "train it with a median_share of 1"
        )
    kernel, bias = found["head_kernel"].copy(), found["head_bias"].copy()
    columns = np.arange(len(medians)) * len(QUANTILES) + MEDIAN
    kernel[..., columns] *= np.float32(share)
    bias[..., columns] = (share * bias[..., columns] + (1 - share) * medians).astype(np.float32)
    return {**weights, "head_kernel": kernel, "head_bias": bias}


def rate_of(config: ModelConfig, epoch: int) -> float:
    """Learning rate of an epoch under the cosine schedule: its value in the middle of the epoch.

    Half a cosine from `learning_rate` to 0 over `max_epochs` (Loshchilov & Hutter 2017, without restarts).

    Args:
        recipe: Its `learning_rate` and `max_epochs`.
        epoch: From 1.
    """
    return config.learning_rate * (1 + cos(pi * (epoch - 0.5) / config.max_epochs)) / 2


def fit_seed(
    loop: SeedLoop, config: ModelConfig, seed: int, val_loss: Callable[[], float], report: Callable[[EpochEnd], None]
) -> tuple[Weights, float, int]:
    """Train one seed, stopping early.

    Args:
        loop: A compiled loop over the fit span.
        recipe: Rates, schedule, epochs and patience.
        seed: The seed.
        val_loss: The current weights' loss on the stop span.
        report: Called after each epoch.

    Returns:
        Its best weights, their stop-span loss and the epochs run.
    """
    loop.restart(seed)
    best, best_loss, waited, rate = loop.weights(), float("inf"), 0, config.learning_rate
    epoch = 0
    for epoch in range(1, config.max_epochs + 1):
        if config.schedule is Schedule.COSINE:
            loop.set_rate(rate_of(config, epoch))
        loop.epoch(seed, epoch)
        loss = val_loss()
        if loss < best_loss:
            best, best_loss, waited = loop.weights(), loss, 0
        else:
            waited += 1
            if config.schedule is Schedule.PLATEAU:
                rate *= RATE_CUT
                loop.set_rate(rate)
        ended = waited >= config.patience or epoch == config.max_epochs
        report(EpochEnd(seed, epoch, loss, ended))
        if ended:
            break
    return best, best_loss, epoch


def masked_columns(pipeline: Pipeline) -> NDArray[np.float32]:
    """`(references, features)`, 1 where a reference's mask zeroes the column."""
    masked = np.zeros((len(pipeline.mask_columns), len(pipeline.feature_names)), np.float32)
    for reference, columns in enumerate(pipeline.mask_columns):
        masked[reference, list(columns)] = 1.0
    return masked
