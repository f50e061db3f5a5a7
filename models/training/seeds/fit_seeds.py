"""Train seeds of one window network in this process, from plain arrays."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.config import ModelConfig
from models.networks.lstm_numpy import Weights
from models.preprocessing.windows import TrainingWindows
from models.training.device import Device, DeviceUse, use_device
from models.training.fit_seed import (
    EpochEnd,
    SeedState,
    fit_seed,
    served_weights,
    with_median_share,
    without_median_share,
)
from models.training.seeds.jax_loop import JaxLoop, jax_loop
from models.training.window_loop import compiled_loop


@dataclass(frozen=True, slots=True)
class FitTask:
    """All that the training of a network's seeds reads.

    Attributes:
        config: Network, sizes, rates and seeds.
        train: Windows to train on; all targets finite.
        validation: Windows that decide on the best epoch, over the same input array.
        masked_columns: `(references, features)`, 1 where the mask of a reference zeroes the column, else 0.
        start: Served weights to start from by seed; empty = initial weights.
    """

    config: ModelConfig
    train: TrainingWindows
    validation: TrainingWindows
    masked_columns: NDArray[np.float32]
    start: Mapping[int, Weights] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FittedSeed:
    """One trained seed.

    Attributes:
        weights: Arrays of the best epoch, as served.
        val_loss: Its validation loss.
        epochs: Number of epochs, including those after the best.
        is_warm: Whether it started from served weights.
        device: What it was trained on.
    """

    weights: Weights
    val_loss: float
    epochs: int
    is_warm: bool
    device: DeviceUse


def fit_seeds(
    task: FitTask, seeds: Sequence[int], report: Callable[[EpochEnd], None], device: Device
) -> tuple[FittedSeed, ...]:
    """Train some seeds of a task in this process.

    The weights of a seed do not depend on the other seeds. On a GPU the seeds are trained as one batched network with
    JAX, else one after another.

    Args:
        task: What to train.
        seeds: Those of the task's config to train.
        report: Called after each epoch of each seed.
        device: Where to train.

    Returns:
        The trained seeds, in the order of `seeds`.

    Raises:
        DeviceError: A GPU is required and the framework finds none.
        TooLittleHistory: The training span has no window.
        UnknownNetwork: The network of the config is not registered.
    """
    use = use_device(device)
    if use.backend.startswith("jax"):
        return _fit_jax(task, seeds, report, use)
    loop = compiled_loop(task.config, task.train, task.masked_columns)
    val_loss = loop.loss_on(task.validation)
    share, medians, served = task.config.median_share, loop.medians, served_weights(loop, task.start)
    fitted = []
    for seed in seeds:
        own = without_median_share(served[seed], medians, share) if served else None
        weights, loss, epochs = fit_seed(loop, task.config, seed, val_loss, report, own)
        fitted.append(FittedSeed(with_median_share(weights, medians, share), loss, epochs, bool(served), use))
    return tuple(fitted)


def _fit_jax(
    task: FitTask, seeds: Sequence[int], report: Callable[[EpochEnd], None], use: DeviceUse
) -> tuple[FittedSeed, ...]:
    width = len(seeds) if use.kind == "gpu" else 1
    loop = jax_loop(task.config, task.train, task.masked_columns, width)
    losses = loop.losses_on(task.validation)
    share, medians, served = task.config.median_share, loop.medians, served_weights(loop, task.start)
    start = {seed: without_median_share(own, medians, share) for seed, own in served.items()}
    states: list[SeedState] = []
    for first in range(0, len(seeds), width):
        states += fit_together(loop, task.config, seeds[first : first + width], losses, report, start)
    return tuple(
        FittedSeed(with_median_share(s.best, medians, share), s.best_loss, s.epoch, bool(served), use) for s in states
    )


def fit_together(
    loop: JaxLoop,
    config: ModelConfig,
    seeds: Sequence[int],
    losses: Callable[[], NDArray[np.float64]],
    report: Callable[[EpochEnd], None],
    start: Mapping[int, Weights],
) -> list[SeedState]:
    """Train as many seeds as a loop has networks, each with its own early stopping; see `fit_seed.fit_seed`.

    A seed that has ended is trained on with the others, without effect on its result.

    Args:
        loop: The loop.
        config: Rates, schedule, epochs and patience.
        seeds: The seeds.
        losses: Returns the validation loss of each network.
        report: Called after each epoch of each seed that has not ended.
        start: Weights to start from by seed; empty = initial weights.

    Returns:
        The final state of each seed, in their order.
    """
    loop.restart_all(seeds, start)
    first = losses().tolist() if start else [None] * len(seeds)
    states = [
        SeedState(config, seed, loop.weights_of(position), first[position]) for position, seed in enumerate(seeds)
    ]
    number = 0
    while not all(state.has_ended for state in states):
        number += 1
        loop.set_rates([state.rate for state in states])
        loop.epoch_all(number)
        ended = losses()
        for position, state in enumerate(states):
            if not state.has_ended:
                report(state.end_epoch(float(ended[position]), _reader(loop, position)))
    return states


def _reader(loop: JaxLoop, position: int) -> Callable[[], Weights]:
    return lambda: loop.weights_of(position)
