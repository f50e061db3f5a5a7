"""Fit one window network on given spans: pipeline, seeds, early stopping.

It reads spans, not instants: `models.training.train` chooses the spans.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import cos, pi
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.config import MEDIAN, QUANTILES, ModelConfig, Schedule
from models.errors import ArtifactError, PriceHistoryError
from models.forecasting.artifact import Artifact
from models.forecasting.network_forecaster import NetworkForecaster
from models.networks.lstm_numpy import Weights
from models.preprocessing.pipeline import Pipeline
from models.preprocessing.price_history import Panel
from models.preprocessing.splits import Spans
from models.preprocessing.windows import PooledWindows
from models.training.window_loop import compiled_loop

RATE_CUT = 0.5
"""Factor on the learning rate after each epoch that does not lower the validation loss."""

WARM_SHARE = 5
"""A training from served weights has this part of a config's epochs."""

WARM_RATE = 0.1
"""Its learning rate, as a share of the config's."""


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """Progress of the training of one network at the end of an epoch.

    Attributes:
        seed: The seed being trained.
        epoch: Epochs done, from 1.
        val_loss: Validation loss after this epoch, in units of the scaled targets.
        last: Whether this is the last epoch of the seed.
    """

    seed: int
    epoch: int
    val_loss: float
    last: bool


class SeedLoop(Protocol):
    """A loop that trains one seed after another, over windows or images."""

    def restart(self, seed: int, start: Weights | None = None) -> None:
        """Restart for a seed, from its own initial weights or from given ones."""
        ...

    def fits(self, start: Weights) -> bool:
        """Return whether arrays have the names and shapes of the network's."""
        ...

    def set_rate(self, rate: float) -> None:
        """Set the optimiser's learning rate."""
        ...

    def epoch(self, seed: int, number: int) -> float:
        """Train one epoch and return the mean training loss."""
        ...

    def weights(self) -> Weights:
        """Return a copy of the current weights by name."""
        ...


@dataclass(frozen=True, slots=True)
class FittedNetwork:
    """A trained window network.

    Attributes:
        forecaster: All seeds with their common pipeline.
        windows: All windows of the panel with known targets, in the order of the spans' masks.
        val_losses: Lowest validation loss of each seed.
        epochs: Number of epochs of each seed, including those after the best.
        is_warm: Whether all seeds started from served weights.
    """

    forecaster: NetworkForecaster
    windows: PooledWindows
    val_losses: tuple[float, ...]
    epochs: tuple[int, ...]
    is_warm: bool = False


def fit_network(
    panel: Panel,
    config: ModelConfig,
    spans: Spans,
    report: Callable[[EpochEnd], None],
    start: Artifact | None = None,
) -> FittedNetwork:
    """Fit the pipeline on the training span, then train each seed with early stopping.

    Args:
        panel: Price histories and references; may reach beyond the spans.
        config: Network, sizes, rates and seeds.
        spans: Cut on the windows of this panel and config with `require_targets=True`.
        report: Called after each epoch.
        start: A served version of the same config to start from, see `served_weights`; None = initial weights.

    Raises:
        PriceHistoryError: The spans were cut on other windows.
        TooLittleHistory: The training span has no window or no known volatility.
        UnknownNetwork: The network of the config is not registered.
    """
    pipeline, windows = Pipeline.fit_windows(panel, config, spans.train_until, require_targets=True)
    check_spans(spans, windows)
    loop = compiled_loop(config, windows.select(spans.train), masked_columns(pipeline))
    val_loss = loop.loss_on(windows.select(spans.validation))
    served = served_weights(loop, start)
    weights: dict[int, Weights] = {}
    losses, epochs = [], []
    for seed in config.seeds:
        own = without_median_share(served[seed], loop.medians, config.median_share) if served else None
        trained, loss, count = fit_seed(loop, config, seed, val_loss, report, own)
        weights[seed] = with_median_share(trained, loop.medians, config.median_share)
        losses.append(loss)
        epochs.append(count)
    forecaster = NetworkForecaster(config, pipeline, weights)
    return FittedNetwork(forecaster, windows, tuple(losses), tuple(epochs), bool(served))


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


def served_weights(loop: SeedLoop, start: Artifact | None) -> Mapping[int, Weights]:
    """Return the weights by seed of a served version; empty if any does not fit the loop's network.

    Args:
        loop: The loop that trains the network.
        start: The served version; None = no weights.
    """
    if start is None or not all(loop.fits(arrays) for arrays in start.weights.values()):
        return {}
    return start.weights


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


def with_median_share(weights: Weights, medians: NDArray[np.float32], share: float) -> Weights:
    """Shrink the forecast median towards the training targets' median, in the weights of the head.

    The training loop shrinks by the same share. The head's median is linear in its arrays and every quantile is an
    offset from it, so scaling these arrays moves the whole forecast and leaves its width unchanged. Serving therefore
    needs no extra step.

    Args:
        weights: Arrays of a network that ends in the quantile head for all steps together (`head_kernel`,
            `head_bias`).
        medians: `(horizon,)` median of the training targets, in units of `sigma * sqrt(step)`.
        share: 0 forecasts these medians, 1 leaves the weights unchanged.

    Returns:
        The arrays, with the two of the head changed.

    Raises:
        ArtifactError: The share is below 1 and the network has another head.
    """
    if share == 1:
        return weights
    kernel, bias, columns = _head(weights, medians)
    kernel[..., columns] *= np.float32(share)
    bias[..., columns] = (share * bias[..., columns] + (1 - share) * medians).astype(np.float32)
    return {**weights, "head_kernel": kernel, "head_bias": bias}


def without_median_share(weights: Weights, medians: NDArray[np.float32], share: float) -> Weights:
    """Return the arrays as trained, from those that `with_median_share` returned: its inverse.

    Args:
        weights: Arrays of a saved network.
        medians: `(horizon,)` median of the training targets; those of a few sessions more or less hardly differ.
        share: As in `with_median_share`; with 0 nothing is left of the network's median, so it is not changed.

    Raises:
        ArtifactError: The share is below 1 and the network has another head.
    """
    if share in (0, 1):
        return weights
    kernel, bias, columns = _head(weights, medians)
    kernel[..., columns] /= np.float32(share)
    bias[..., columns] = ((bias[..., columns] - (1 - share) * medians) / share).astype(np.float32)
    return {**weights, "head_kernel": kernel, "head_bias": bias}


def _head(
    weights: Weights, medians: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Return copies of the kernel and the bias of the quantile head, and the columns of the medians.

    Raises:
        ArtifactError: The network has another head.
    """
    head = {name: weights[name] for name in ("head_kernel", "head_bias") if name in weights}
    if len(head) < 2 or len(head["head_bias"]) != len(medians) * len(QUANTILES):
        raise ArtifactError(
            f"this network has no quantile head for {len(medians)} steps ({', '.join(sorted(weights))}); "
            "train it with a median_share of 1"
        )
    columns = np.arange(len(medians)) * len(QUANTILES) + MEDIAN
    return head["head_kernel"].copy(), head["head_bias"].copy(), columns


def cosine_rate(config: ModelConfig, epoch: int) -> float:
    """Return the learning rate of an epoch under the cosine schedule, taken in the middle of the epoch.

    Half a cosine from `learning_rate` to 0 over `max_epochs` (Loshchilov & Hutter 2017, without restarts).

    Args:
        config: Gives `learning_rate` and `max_epochs`.
        epoch: Number of the epoch, from 1.
    """
    return config.learning_rate * (1 + cos(pi * (epoch - 0.5) / config.max_epochs)) / 2


def warm_epochs(config: ModelConfig) -> int:
    """Return the epochs of a training that starts from served weights: a `WARM_SHARE`th of the config's, at least 1."""
    return max(1, config.max_epochs // WARM_SHARE)


def fit_seed(
    loop: SeedLoop,
    config: ModelConfig,
    seed: int,
    val_loss: Callable[[], float],
    report: Callable[[EpochEnd], None],
    start: Weights | None = None,
) -> tuple[Weights, float, int]:
    """Train one seed with early stopping.

    From given weights it trains `warm_epochs` at `WARM_RATE` of the learning rate, and keeps the given weights if no
    epoch lowers the validation loss.

    Args:
        loop: A compiled loop over the training span.
        config: Rates, schedule, epochs and patience.
        seed: The seed.
        val_loss: Returns the validation loss of the current weights.
        report: Called after each epoch.
        start: Weights of this network to start from; None = the seed's initial weights.

    Returns:
        The best weights, their validation loss and the number of epochs.
    """
    warm = start is not None
    loop.restart(seed, start)
    best, best_loss, waited, rate = loop.weights(), float("inf"), 0, config.learning_rate
    epochs = config.max_epochs
    if warm:
        best_loss, epochs, rate = val_loss(), warm_epochs(config), WARM_RATE * config.learning_rate
        loop.set_rate(rate)
    epoch = 0
    for epoch in range(1, epochs + 1):
        if config.schedule is Schedule.COSINE and not warm:
            loop.set_rate(cosine_rate(config, epoch))
        loop.epoch(seed, epoch)
        loss = val_loss()
        if loss < best_loss:
            best, best_loss, waited = loop.weights(), loss, 0
        else:
            waited += 1
            if config.schedule is Schedule.PLATEAU:
                rate *= RATE_CUT
                loop.set_rate(rate)
        ended = waited >= config.patience or epoch == epochs
        report(EpochEnd(seed, epoch, loss, ended))
        if ended:
            break
    return best, best_loss, epoch


def masked_columns(pipeline: Pipeline) -> NDArray[np.float32]:
    """Return `(references, features)`, 1 where the mask of a reference zeroes the column."""
    masked = np.zeros((len(pipeline.mask_columns), len(pipeline.feature_names)), np.float32)
    for reference, columns in enumerate(pipeline.mask_columns):
        masked[reference, list(columns)] = 1.0
    return masked
