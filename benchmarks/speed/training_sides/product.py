"""The product's own training of seeds, on the Keras backend of the environment; answers as `torch_lstm` does."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from models.config import ModelConfig, Strategy, Weighting
from models.preprocessing.windows import TrainingWindows
from models.training.device import Compute, Device
from models.training.fit_seed import EpochEnd
from models.training.seeds.fit_seeds import FitTask
from models.training.seeds.processes import fit_all_seeds
from models.tuned_configs import tuned

REFERENCE_FEATURES = 14


def task_of(folder: Path, request: dict[str, Any]) -> FitTask:
    """Return the task of a request: the reference config for 14 inputs, else the service's own one.

    A request for a rate validates on a batch of windows only: PyTorch's loop does not validate.
    """
    features, epochs, curve = request["features"], request["epochs"], request["curve"]
    inputs = np.ascontiguousarray(np.load(folder / "inputs.npy")[:, :features])
    facts = json.loads((folder / "facts.json").read_text())
    reference = features == REFERENCE_FEATURES
    masks = np.load(folder / "masked_columns.npy")[: 0 if reference else None, :features]
    newest_only = () if reference else tuple(facts["newest_only"])
    spans: dict[str, TrainingWindows] = {}
    for span in ("train", "validation"):
        ends, targets = np.load(folder / f"{span}_ends.npy"), np.load(folder / f"{span}_targets.npy")
        kept = slice(None) if span == "train" or curve else slice(256)
        sigma = np.ones(len(ends[kept]))
        spans[span] = TrainingWindows(inputs, ends[kept], 5, sigma, targets[kept], newest_only)
    config = ModelConfig("lstm", Strategy.MULTI_STEP, weighting=Weighting.EVEN, learning_rate=1e-3, mask_rate=0.0)
    if not reference:
        config = tuned(ModelConfig("lstm", Strategy.MULTI_STEP))
    seeds = (request["seeds"],) if curve else tuple(range(request["seeds"]))
    config = replace(config, seeds=seeds, max_epochs=epochs, patience=epochs)
    return FitTask(config, spans["train"], spans["validation"], masks)


def answer(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Train what a request names; see `training_rates.Side`."""
    task = task_of(folder, request)
    for _ in range(2 if request["curve"] else 1):  # a config compiles once, which a curve leaves out
        curve: list[tuple[float, float]] = []
        begun = perf_counter()

        def report(end: EpochEnd, curve: list[tuple[float, float]] = curve, begun: float = begun) -> None:
            curve.append((perf_counter() - begun, end.val_loss))

        fit_all_seeds(task, report, Compute(Device.CPU, len(task.config.seeds)))
    return {"curve": curve} if request["curve"] else {"seconds": perf_counter() - begun}


def main() -> None:
    """Answer one JSON request a line."""
    for line in sys.stdin:
        print(json.dumps(answer(Path(sys.argv[1]), json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
