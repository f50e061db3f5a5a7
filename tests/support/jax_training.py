"""Trains a small task with Keras on JAX and writes the results: `python -m tests.support.jax_training FOLDER`.

It is a program since a process has one Keras backend.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.networks.lstm_numpy import Weights
from models.training.device import Device
from models.training.fit_seed import EpochEnd
from models.training.seeds.fit_seeds import fit_seeds, fit_together
from models.training.seeds.jax_loop import JaxLoop
from tests.support.fit_task import FEATURES, small_task


@dataclass(frozen=True)
class JaxRun:
    """What this program wrote, and the variables with which another process trains on what it has compiled."""

    folder: Path
    facts: dict[str, Any]
    variables: dict[str, str]

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        return dict(np.load(self.folder / f"{name}.npz"))


def jax_variables(folder: Path) -> dict[str, str]:
    """Return the variables of Keras on JAX that keeps all that it compiles in a folder."""
    return {
        "KERAS_BACKEND": "jax",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def start_weights() -> Weights:
    """Return starting weights that are the same on every backend."""
    draw = np.random.default_rng(3)
    shapes = {"kernel": (FEATURES, 16), "recurrent": (4, 16), "bias": 16, "head_kernel": (4, 7), "head_bias": 7}
    return {name: (0.3 * draw.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()}


def main(folder: Path) -> None:
    """Train, and write weights and facts."""
    start, facts = start_weights(), {}
    same = small_task((0,), mask_rate=0.0, learning_rate=0.02)
    loop = JaxLoop(same.config, same.train, same.masked_columns)
    loop.restart(0, start)
    losses = loop.loss_on(same.validation)
    facts["losses"] = [[loop.epoch(0, number), losses()] for number in (1, 2, 3)]
    np.savez(folder / "as_tensorflow.npz", **loop.weights())

    # Every draw is below half of a rate of 2: the whole window of the reference is masked every time.
    masked = small_task((0,), mask_rate=2.0)
    loop = JaxLoop(masked.config, masked.train, masked.masked_columns)
    loop.restart(0, start)
    loop.epoch(0, 1)
    np.savez(folder / "masked.npz", moved=np.abs(loop.weights()["kernel"] - start["kernel"]).max(axis=1))

    task = small_task((3, 1, 2), mask_rate=0.3)
    ends: list[EpochEnd] = []
    alone = fit_seeds(task, task.config.seeds, ends.append, Device.CPU)
    reverse = fit_seeds(task, (2, 3), lambda _end: None, Device.CPU)
    batched = JaxLoop(task.config, task.train, task.masked_columns, 3)
    states = fit_together(batched, task.config, (3, 1, 2), batched.losses_on(task.validation), ends.append, {})
    for seed, fitted in zip(task.config.seeds, alone, strict=True):
        np.savez(folder / f"seed_{seed}.npz", **fitted.weights)
    facts["val_losses"] = [fitted.val_loss for fitted in alone]
    facts["again"] = [fitted.val_loss for fitted in reverse]
    facts["batched"] = [state.best_loss for state in states]
    facts["ends"] = [[end.seed, end.epoch, end.last] for end in ends]
    facts["device"] = alone[0].device.to_dict()
    facts["modules"] = [name for name in ("tensorflow", "sqlalchemy", "torch") if name in sys.modules]
    (folder / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
