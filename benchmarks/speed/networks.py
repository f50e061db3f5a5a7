"""Seconds to train each network on the bundled sample, next to the default network `lstm`.

    python -m benchmarks.speed.networks [--quick] [--networks NAME,...] [--runs N]

Each network is trained as the service trains a new `TPLUS_NETWORK`: both strategies, three seeds, its tuned or
default config, the two folds of the gate's evidence, and the random walk. With a spatiotemporal network, the service
also trains `lstm`, for symbols that it has not seen, so this is in its time too. The networks take turns, each in a
process of its own, in which a short training of `linear` has loaded the framework. In a network's time are: inputs,
building and compilation, all epochs until early stopping, the test, and saving. The start of the process and its
imports are not. A second ratio compares the median epoch, its validation loss included, without the first of each seed.

`--quick` trains one seed of the multi-step strategy without evidence and without lstm as a second network. It measures
only the networks that have a bound, all in one process.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from benchmarks.results import RESULTS, Ratio, publish
from models.baselines import random_walk_config
from models.config import ModelConfig, Strategy
from models.networks.registry import NETWORKS, is_spatiotemporal, network_info
from models.preprocessing.price_history import Panel
from models.training.train import TrainProgress, TrainRequest, train_all
from models.tuned_configs import tuned
from service.backtest.prices import fetch_all, group_panels
from service.prices.sources.sample import SampleSource
from service.settings import Settings

DEFAULT = "lstm"
BOUND = 5.0
"""Upper bound of a training's time, in trainings of lstm."""

BOUNDED = ("stateful_lstm", "conv_lstm", "conv3d_lstm", "conv3d_lstm_variational", "conv3d_lstm_per_frame")
"""Networks with a bound; the others are measured for comparison."""

RUNS = 3
LOOKBACK = 5
AFTER_SAMPLE = datetime(2013, 3, 2, tzinfo=UTC)
"""An instant after the last session of the sample."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is trained of each network.

    Attributes:
        strategies: Strategies of the trainings.
        seeds: Seeds of each config.
        is_whole: Whether evidence is gathered, and lstm trained too for a spatiotemporal network.
    """

    strategies: tuple[Strategy, ...] = tuple(Strategy)
    seeds: tuple[int, ...] = (0, 1, 2)
    is_whole: bool = True


QUICK = Work((Strategy.MULTI_STEP,), (0,), is_whole=False)


@dataclass(frozen=True, slots=True)
class Measured:
    """One training.

    Attributes:
        seconds: From the request to the saved artifacts.
        epoch_seconds: Median of an epoch of the network itself.
        epochs: Epochs of the saved versions of the network itself, over seeds and strategies.
        val_losses: Lowest validation loss of each seed of the multi-step network.
    """

    seconds: float
    epoch_seconds: float
    epochs: int
    val_losses: tuple[float, ...]


class EpochTimes:
    """Seconds between the reports of two epochs of a seed, by request."""

    def __init__(self) -> None:
        """Start without epochs."""
        self.seconds: list[float] = []
        self._last = 0.0

    def __call__(self, progress: TrainProgress) -> None:
        """Add an epoch; the first of a seed may compile."""
        now = perf_counter()
        if progress.epoch > 1:
            self.seconds.append(now - self._last)
        self._last = now


def sample_panel() -> Panel:
    """Return the five stocks of the bundled sample; it has no reference series."""
    source = SampleSource()
    prices, missing = fetch_all(source, source.symbols(), Settings(source="sample"), AFTER_SAMPLE)
    if missing:
        raise SystemExit(f"the sample cannot be read: {missing}")
    return group_panels(prices, ())[0].panel


def own_config(name: str, strategy: Strategy, seeds: tuple[int, ...]) -> ModelConfig:
    """Return the config that the service trains for a network, here without reference series."""
    return tuned(ModelConfig(name, strategy, lookback=network_info(name).window(LOOKBACK), seeds=seeds))


def train_network(panel: Panel, name: str, work: Work) -> Measured:
    """Train a network in this process.

    Args:
        panel: Price histories.
        name: Registered name.
        work: What is trained.
    """
    cut_at = np.datetime64(AFTER_SAMPLE.replace(tzinfo=None), "s")
    own, others = EpochTimes(), EpochTimes()
    seconds, epochs, losses = 0.0, 0, ()
    second = (DEFAULT,) if work.is_whole and is_spatiotemporal(name) else ()
    with tempfile.TemporaryDirectory() as folder:
        for strategy in work.strategies:
            configs = [random_walk_config(strategy), *(own_config(n, strategy, work.seeds) for n in (name, *second))]
            for config in configs:
                request = TrainRequest(panel, config, cut_at, Path(folder), with_evidence=work.is_whole)
                begun = perf_counter()
                (trained,) = train_all((request,), own if config.forecaster == name else others)
                seconds += perf_counter() - begun
                if config.forecaster == name:
                    epochs += sum(trained.metrics["epochs"])
                    losses = tuple(trained.metrics["val_loss"])  # the multi-step strategy is the last
    return Measured(seconds, median(own.seconds), epochs, losses)


def measure(panel: Panel, names: Sequence[str], work: Work) -> dict[str, Measured]:
    """Train networks one after another in a new process that has loaded the framework."""
    measured: dict[str, Measured] = {}
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(train_network, panel, "linear", QUICK).result()
        for name in names:
            measured[name] = pool.submit(train_network, panel, name, work).result()
            print(f"{name}: {measured[name]}", file=sys.stderr, flush=True)
    return measured


def ratios_of(runs: Sequence[dict[str, Measured]]) -> list[Ratio]:
    """Return the ratios of each network to lstm, a training and an epoch, from the trainings of each turn."""
    ratios = []
    for name in runs[0]:
        if name == DEFAULT:
            continue
        high = BOUND if name in BOUNDED else None
        whole = tuple(run[name].seconds / run[DEFAULT].seconds for run in runs)
        epoch = tuple(run[name].epoch_seconds / run[DEFAULT].epoch_seconds for run in runs)
        ratios.append(Ratio(f"training.{name}", f"{name}, a training on the sample / lstm's", whole, high=high))
        ratios.append(Ratio(f"epoch.{name}", f"{name}, an epoch / lstm's", epoch, high=high))
    return ratios


def figures_of(runs: Sequence[dict[str, Measured]]) -> dict[str, float | str]:
    """Return seconds, epochs and validation losses of each network."""
    figures: dict[str, float | str] = {}
    for name in runs[0]:
        figures[f"{name}, a training, s"] = median(run[name].seconds for run in runs)
        figures[f"{name}, an epoch, s"] = median(run[name].epoch_seconds for run in runs)
        figures[f"{name}, epochs of the versions"] = str(runs[0][name].epochs)
        figures[f"{name}, validation loss by seed"] = " ".join(f"{loss:.5f}" for loss in runs[0][name].val_losses)
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and publish the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed, one strategy, one run; writes no file")
    parser.add_argument("--networks", help="these networks next to lstm; writes no file")
    parser.add_argument("--runs", type=int, help="turns; writes no file")
    options = parser.parse_args(arguments)
    work = QUICK if options.quick else Work()
    chosen = options.networks.split(",") if options.networks else BOUNDED if options.quick else NETWORKS
    unknown = sorted(set(chosen) - set(NETWORKS))
    if unknown:
        parser.error(f"unknown networks: {', '.join(unknown)}; choose from {', '.join(NETWORKS)}")
    names = (DEFAULT, *(name for name in chosen if name != DEFAULT))
    panel = sample_panel()
    apart = [names] if options.quick else [(name,) for name in names]
    runs: list[dict[str, Measured]] = []
    for _ in range(options.runs or (1 if options.quick else RUNS)):
        runs.append({})
        for group in apart:
            runs[-1] |= measure(panel, group, work)
    is_trial = options.quick or options.networks or options.runs
    return publish("networks", ratios_of(runs), figures_of(runs), None if is_trial else RESULTS)


if __name__ == "__main__":
    sys.exit(main())
