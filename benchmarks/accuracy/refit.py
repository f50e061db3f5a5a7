"""Loss and seconds of weekly refits that start from the weights before them, next to new trainings at the same dates.

Each week a refit starts from the refit of the week before, as the service does. At some weeks a new training with the
same data is made too, and both are scored on its test span. The trainings share one process and its compiled graphs,
so the seconds are those of training, evaluation and saving. The dates end before the test years. Run from the
repository's root:

    python -m benchmarks.accuracy.refit [--prices FOLDER] [--symbols 8] [--weeks 26]

It prints one JSON document and exits with 1 if the loss or the seconds are above their goals.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from benchmarks.accuracy.pooled import PRICES, REFERENCES, stocks_panel
from models.config import ModelConfig, Strategy
from models.preprocessing.price_history import Panel
from models.training.refit_check import Predecessor
from models.training.train import TrainedArtifact, TrainProgress, TrainRequest, train
from models.tuned_configs import tuned

FIRST_CUT = np.datetime64("2016-01-04", "D")
COMPARED_EVERY = 5
"""Weeks between two new trainings."""

LOSS_GOAL = 1.001
"""Highest ratio of the mean losses, refits to new trainings."""

SECONDS_GOAL = 0.2
"""Highest ratio of the median seconds."""


def ignore(progress: TrainProgress) -> None:
    """Drop progress."""
    del progress


def measure(panel: Panel, weeks: int, strategy: Strategy, store: Path) -> dict[str, Any]:
    """Train week after week.

    Args:
        panel: Price histories and references.
        weeks: Number of refits.
        strategy: The strategy.
        store: Folder of the artifacts.

    Returns:
        JSON-serializable: mean pinball loss and median seconds of both, and their ratios.
    """
    config = tuned(ModelConfig("lstm", strategy, references=REFERENCES))
    history = panel.histories[0]
    first = int(np.searchsorted(history.sessions, FIRST_CUT))
    cuts = [history.final_at[first + 5 * week] for week in range(weeks + 1)]
    served = _train(TrainRequest(panel, config, cuts[0], store))
    refits: list[TrainedArtifact] = []
    compared: list[tuple[TrainedArtifact, TrainedArtifact]] = []
    for week, cut in enumerate(cuts[1:], start=1):
        before = Predecessor(served.path, served.sha256, week)
        served = _train(TrainRequest(panel, config, cut, store, predecessor=before, start_from=before))
        refits.append(served)
        if week % COMPARED_EVERY == 0:
            compared.append((served, _train(TrainRequest(panel, config, cut, store))))
    losses = [fmean(pair[k].metrics["pinball"] for pair in compared) for k in (0, 1)]
    seconds = [median(refit.seconds for refit in refits), median(new.seconds for _, new in compared)]
    return {
        "strategy": strategy.value,
        "refits": len(refits),
        "compared": len(compared),
        "refit_pinball": losses[0],
        "new_pinball": losses[1],
        "loss_ratio": losses[0] / losses[1],
        "refit_seconds": seconds[0],
        "new_seconds": seconds[1],
        "seconds_ratio": seconds[0] / seconds[1],
    }


def _train(request: TrainRequest) -> TrainedArtifact:
    return train(request, ignore)


def main() -> int:
    """Measure both strategies, print, and compare with the goals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prices", type=Path, default=PRICES)
    parser.add_argument("--symbols", type=int, default=8, help="the first so many stocks")
    parser.add_argument("--weeks", type=int, default=26, help="weekly refits, at least 5")
    arguments = parser.parse_args()
    panel = stocks_panel(arguments.prices)
    panel = replace(panel, histories=panel.histories[: arguments.symbols])
    with tempfile.TemporaryDirectory() as store:
        rows = [measure(panel, arguments.weeks, strategy, Path(store)) for strategy in Strategy]
    print(json.dumps(rows, indent=1))
    return int(any(row["loss_ratio"] > LOSS_GOAL or row["seconds_ratio"] > SECONDS_GOAL for row in rows))


if __name__ == "__main__":
    sys.exit(main())
