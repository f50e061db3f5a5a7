"""kill -9 of workers and of whole nodes of a Ray cluster in the middle of fits: the results stay the same.

A head and two nodes run on this machine, in a network namespace that has loopback alone. The same training, two seeds
on two nodes, is done undisturbed first, and then again with a worker or a node killed at a random epoch of a fit. Each
result is compared by the hash of its artifact and by that of its forecasts. A killed node is replaced by a new one.
Run from the repository's root, as a user that may make network namespaces:

    python -m benchmarks.reliability.ray_kills [--quick] [--workers 20] [--nodes 10]

It prints one JSON document, and exits with 1 if a bar is missed: every result has the undisturbed hashes, every kill
made the driver repeat a task, and no process is left at the end.
"""

import argparse
import hashlib
import json
import random
import statistics
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from models.config import ModelConfig, Strategy
from models.forecasting.network_forecaster import load_forecaster
from models.preprocessing.price_history import Panel
from models.training.tasks import train_forecasters
from models.training.train import TrainProgress, TrainRequest
from service.execution.ray.executor import RayExecutor
from tests.support.factories import SPY, VIX, make_panel
from tests.support.ray_cluster import NoNamespace, RayCluster

LIMIT_SECONDS = 600.0
_TASK = "ray::fit_seed_of"
"""Title of a worker while it trains a seed."""
_CONFIG = ModelConfig(
    "lstm", Strategy.MULTI_STEP, references=(SPY, VIX), units=16, seeds=(0, 1), max_epochs=60, patience=60,
    batch_size=256,
)  # fmt: skip


@dataclass
class Figures:
    """What the kills of one kind gave."""

    kind: str
    kills: int = 0
    repeated: int = 0
    same: int = 0
    seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return the figures as a JSON document."""
        return {
            "kills": self.kills,
            "kills_after_which_a_task_was_repeated": self.repeated,
            "same_hashes": self.same,
            "median_seconds_of_a_disturbed_training": round(statistics.median(self.seconds), 1)
            if self.seconds
            else None,
            "faults": self.faults[:20],
        }


class Trial:
    """The training, on a cluster that is being disturbed."""

    def __init__(self, cluster: RayCluster, folder: Path) -> None:
        self._cluster, self._folder = cluster, folder
        self._log = folder / "driver.log"
        self._panel: Panel = make_panel(1300, seed=3)
        self._executor = RayExecutor(cluster.config, LIMIT_SECONDS, self._log)
        self._draw = random.Random(12)
        self._runs = 0
        self.undisturbed = ("", "")
        self.undisturbed_seconds = 0.0

    def prepare(self) -> None:
        """Train undisturbed: once to load the framework, then twice for the hashes and the time."""
        self._train()
        began = time.monotonic()
        self.undisturbed = self._train()
        self.undisturbed_seconds = time.monotonic() - began
        if self._train() != self.undisturbed:
            raise RuntimeError("two undisturbed trainings differ, so that nothing can be compared")

    def disturb(self, figures: Figures) -> None:
        """Train once with a kill at a random epoch, and compare."""
        share, done = self._draw.uniform(0.1, 0.8), threading.Event()

        def kill(progress: TrainProgress) -> None:
            if progress.fraction >= share and not done.is_set():
                done.set()
                figures.kills += self._kill(figures.kind)

        before, began = self._repeats(), time.monotonic()
        try:
            found = self._train(kill)
        except Exception as error:
            figures.faults.append(f"the training failed: {error}")
            return
        finally:
            figures.seconds.append(time.monotonic() - began)
        figures.repeated += self._repeats() > before
        figures.same += found == self.undisturbed
        if found != self.undisturbed:
            figures.faults.append(f"{found} instead of {self.undisturbed}")

    def close(self) -> None:
        """End the driver."""
        self._executor.close()

    def _train(self, report: Any = None) -> tuple[str, str]:
        """Return the hash of the artifact and that of its forecasts."""
        self._runs += 1
        directory = self._folder / f"artifacts-{self._runs}"
        request = TrainRequest(self._panel, _CONFIG, self._panel.histories[0].final_at[-40], directory)
        (trained,) = self._executor.run(train_forecasters, (request,), report)
        batch = load_forecaster(trained.path, trained.sha256).forecast(self._panel)
        return trained.sha256, hashlib.sha256(batch.quantiles.tobytes()).hexdigest()

    def _kill(self, kind: str) -> int:
        """Kill one worker that trains, or the node of one; return how many were killed."""
        busy = [(node, worker) for node in self._cluster.nodes for worker in node.workers() if is_training(worker)]
        if not busy:
            return 0
        node, worker = self._draw.choice(busy)
        if kind == "worker":
            worker.kill()
        else:
            node.kill()
            self._cluster.nodes.remove(node)
        return 1

    def _repeats(self) -> int:
        return self._log.read_text(errors="replace").count(" is repeated, its worker was lost")


def is_training(process: psutil.Process) -> bool:
    """Return whether a process of a node trains a seed now."""
    try:
        return " ".join(process.cmdline()).startswith(_TASK)
    except psutil.Error:
        return False


def missed(figures: Figures, planned: int) -> list[str]:
    """Return a sentence for each bar that is missed."""
    found = []
    if figures.kills < planned:
        found.append(f"{figures.kills} of {planned} kills of a {figures.kind} met a fit")
    if figures.same < planned:
        found.append(
            f"{planned - figures.same} of {planned} trainings with a killed {figures.kind} gave another result"
        )
    if figures.repeated < planned:
        found.append(f"{planned - figures.repeated} kills of a {figures.kind} made no task repeat: they prove nothing")
    return found


def run(workers: int, nodes: int, folder: Path) -> dict[str, Any]:
    """Do the kills and return the document."""
    cluster = RayCluster(folder, nodes=2)
    kinds = [(Figures("worker"), workers), (Figures("node"), nodes)]
    trial: Trial | None = None
    try:
        with cluster.network.inside():
            trial = Trial(cluster, folder)
            trial.prepare()
            print(f"undisturbed: {trial.undisturbed_seconds:.1f} s, {trial.undisturbed[0][:16]}", file=sys.stderr)
            for figures, count in kinds:
                for number in range(count):
                    while len(cluster.nodes) < 2:
                        cluster.add_node()
                    trial.disturb(figures)
                    print(f"{figures.kind} {number + 1}: {figures.document()}", file=sys.stderr, flush=True)
            trial.close()
    finally:
        cluster.close()
    left = [process.pid for process in cluster.network.processes()]
    answer: dict[str, Any] = {figures.kind: figures.document() for figures, _ in kinds}
    answer["undisturbed_seconds"] = round(trial.undisturbed_seconds, 1)
    answer["processes_left"] = len(left)
    answer["missed"] = [sentence for figures, count in kinds for sentence in missed(figures, count)]
    answer["missed"] += [f"{len(left)} processes are left"] if left else []
    return answer


def main() -> int:
    """Print the figures; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one worker and one node")
    parser.add_argument("--workers", type=int, default=20, help="kills of a worker")
    parser.add_argument("--nodes", type=int, default=10, help="kills of a node")
    arguments = parser.parse_args()
    workers, nodes = (1, 1) if arguments.quick else (arguments.workers, arguments.nodes)
    with TemporaryDirectory(prefix="ray-") as folder:
        try:
            answer = run(workers, nodes, Path(folder))
        except NoNamespace as error:
            print(f"Ray runs in a network namespace alone, and {error}", file=sys.stderr)
            return 1
    print(json.dumps(answer, indent=1))
    return 1 if answer["missed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
