"""Seconds to train both strategies with three seeds each on 51 US stocks, start-up included.

One spawned child process imports the framework once and trains both, as the service does. The random walk of each
strategy is fitted too. Run from the repository's root:

    python -m benchmarks.speed.training [--prices FOLDER] [--symbols 51]

It prints one JSON document and exits with 1 if the total is more than its goal.
"""

import argparse
import json
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.accuracy.pooled import PRICES, REFERENCES, stocks_panel
from models.config import ModelConfig, Strategy
from models.preprocessing.price_history import Panel
from models.training.train import TrainedArtifact, TrainProgress, TrainRequest, train_all
from models.tuned_configs import tuned

GOAL_SECONDS = 120.0
"""Goal for 51 stocks, both strategies, three seeds each, on two cores."""

CUT_AT = np.datetime64("2018-12-31T23:59:59", "s")


def ignore(progress: TrainProgress) -> None:
    """Drop progress: a child's print would count as work."""
    del progress


def requests(panel: Panel, directory: Path) -> tuple[TrainRequest, ...]:
    """Return the requests for networks and random walks of both strategies.

    Args:
        panel: Price histories and references.
        directory: Folder of the artifacts.
    """
    configs = [
        tuned(ModelConfig(name, strategy, references=REFERENCES))
        for strategy in Strategy
        for name in ("lstm", "random_walk")
    ]
    return tuple(TrainRequest(panel, config, CUT_AT, directory) for config in configs)


def measure(panel: Panel) -> dict[str, Any]:
    """Train everything in a spawned child and time it from outside.

    Args:
        panel: Price histories and references.

    Returns:
        JSON-serializable: total `seconds` with start-up, and per artifact its seconds and epochs; no score, since its
        test span is in the test years.
    """
    with tempfile.TemporaryDirectory() as directory:
        started = perf_counter()
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            trained = pool.submit(train_all, requests(panel, Path(directory)), ignore).result()
        seconds = perf_counter() - started
    return {"symbols": len(panel.histories), "seconds": seconds, "artifacts": [_row(artifact) for artifact in trained]}


def main() -> int:
    """Measure, print, and compare with the goal if all stocks are trained."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prices", type=Path, default=PRICES)
    parser.add_argument("--symbols", type=int, default=51, help="the first so many stocks")
    arguments = parser.parse_args()
    panel = stocks_panel(arguments.prices)
    measured = measure(replace(panel, histories=panel.histories[: arguments.symbols]))
    print(json.dumps(measured, indent=1))
    return int(measured["seconds"] > GOAL_SECONDS)


def _row(artifact: TrainedArtifact) -> dict[str, Any]:
    return {
        "forecaster": artifact.config.forecaster,
        "strategy": artifact.config.strategy.value,
        "seconds": artifact.seconds,
        "epochs": artifact.metrics.get("epochs"),
    }


if __name__ == "__main__":
    sys.exit(main())
