"""Train one seed of a network with early stopping, over any loop; the median share in the weights of its head."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import cos, pi
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.config import MEDIAN, QUANTILES, ModelConfig, Schedule
from models.errors import ArtifactError
from models.networks.lstm_numpy import Weights

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


def served_weights(loop: SeedLoop, start: Mapping[int, Weights]) -> Mapping[int, Weights]:
    """Return the weights by seed of a served version; empty if any does not fit the loop's network.

    Args:
        loop: The loop that trains the network.
        start: The weights; empty without a served version.
    """
    return start if all(loop.fits(arrays) for arrays in start.values()) else {}


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


class SeedState:
    """Early stopping and learning rate of one seed, epoch by epoch.

    Attributes:
        seed: The seed.
        best: The weights with the lowest validation loss so far.
        best_loss: Their validation loss.
        epoch: Epochs done.
        rate: Learning rate of the next epoch.
        has_ended: Whether no further epoch is to be trained.
    """

    def __init__(self, config: ModelConfig, seed: int, start: Weights, start_loss: float | None = None) -> None:
        """Begin a seed.

        Args:
            config: Rates, schedule, epochs and patience.
            seed: The seed.
            start: The weights that it starts from.
            start_loss: Their validation loss if they are served weights, which are kept if no epoch is better; None
                for initial weights.
        """
        warm = start_loss is not None
        self.seed, self.best, self.epoch, self.has_ended = seed, start, 0, False
        self.best_loss = float("inf") if start_loss is None else start_loss
        self._config, self._waited = config, 0
        self._epochs = warm_epochs(config) if warm else config.max_epochs
        self._cosine = config.schedule is Schedule.COSINE and not warm
        self._rate = (WARM_RATE if warm else 1.0) * config.learning_rate

    @property
    def rate(self) -> float:
        """Learning rate of the next epoch."""
        return cosine_rate(self._config, self.epoch + 1) if self._cosine else self._rate

    def end_epoch(self, loss: float, weights: Callable[[], Weights]) -> EpochEnd:
        """Record the validation loss of an epoch; the weights are read if it is the lowest."""
        self.epoch += 1
        if loss < self.best_loss:
            self.best, self.best_loss, self._waited = weights(), loss, 0
        else:
            self._waited += 1
            if self._config.schedule is Schedule.PLATEAU:
                self._rate *= RATE_CUT
        self.has_ended = self._waited >= self._config.patience or self.epoch == self._epochs
        return EpochEnd(self.seed, self.epoch, loss, self.has_ended)


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
    loop.restart(seed, start)
    state = SeedState(config, seed, loop.weights(), None if start is None else val_loss())
    rate = config.learning_rate
    while not state.has_ended:
        if state.rate != rate:
            rate = state.rate
            loop.set_rate(rate)
        loop.epoch(seed, state.epoch + 1)
        report(state.end_epoch(val_loss(), loop.weights))
    return state.best, state.best_loss, state.epoch
