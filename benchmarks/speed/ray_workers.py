"""Efficiency of two workers of a Ray cluster against one: four seeds of one training, on one core each.

Two clusters run on this machine, in network namespaces that have loopback alone: one has a node of one core, the other
two of them. They take turns; both have trained once before, so that no framework is loaded in a measured run. The
efficiency is the time on one worker divided by twice the time on two: 1 = twice as fast. Run from the repository's
root, as a user that may make network namespaces, on a machine with at least two free cores:

    python -m benchmarks.speed.ray_workers [--quick]
"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.results import Ratio, publish
from models.config import ModelConfig, Strategy
from models.preprocessing.price_history import Panel
from models.training.tasks import train_forecasters
from models.training.train import TrainRequest
from service.execution.ray.executor import RayExecutor
from tests.support.factories import SPY, VIX, make_panel
from tests.support.ray_cluster import NoNamespace, RayCluster

EFFICIENCY = 0.8
"""Goal; the rest is sending the prices, and the test of the version, which follows the seeds in one task."""
RUNS = 5


@contextmanager
def connected(nodes: int) -> Iterator[tuple[RayCluster, RayExecutor, Path]]:
    """Yield a cluster of nodes with one core each, its executor and a folder."""
    with TemporaryDirectory(prefix="ray-") as name:
        cluster = RayCluster(Path(name), nodes=nodes)
        executor = RayExecutor(cluster.config, 1800.0)
        try:
            yield cluster, executor, Path(name)
        finally:
            executor.close()
            cluster.close()


def seconds(side: tuple[RayCluster, RayExecutor, Path], panel: Panel, config: ModelConfig) -> float:
    """Return the time of one training."""
    cluster, executor, folder = side
    request = TrainRequest(panel, config, panel.histories[0].final_at[-40], folder / "artifacts")
    began = time.monotonic()
    with cluster.network.inside():
        executor.run(train_forecasters, (request,))
    return time.monotonic() - began


def main() -> int:
    """Measure, print and record; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few epochs, few symbols")
    quick = parser.parse_args().quick
    symbols = tuple(f"S{number:02d}" for number in range(3 if quick else 30))
    panel = make_panel(1300 if quick else 4000, 3, symbols, ())
    epochs = 5 if quick else 10
    config = ModelConfig(
        "lstm", Strategy.MULTI_STEP, references=(SPY, VIX), seeds=(0, 1, 2, 3), max_epochs=epochs, patience=epochs
    )
    single: list[float] = []
    double: list[float] = []
    try:
        with ExitStack() as stack:
            one, two = (stack.enter_context(connected(nodes)) for nodes in (1, 2))
            for side in (one, two):
                seconds(side, panel, config)
            for _ in range(RUNS):
                single.append(seconds(one, panel, config))
                double.append(seconds(two, panel, config))
    except NoNamespace as error:
        print(f"Ray runs in a network namespace alone, and {error}", file=sys.stderr)
        return 1
    efficiency = tuple(alone / (2 * both) for alone, both in zip(single, double, strict=True))
    ratios = [
        Ratio("ray.2_workers", "time on 1 worker / twice the time on 2, 4 seeds", efficiency, low=EFFICIENCY),
    ]
    return publish("ray_workers", ratios, {"s on 1 worker": min(single), "s on 2 workers": min(double)})


if __name__ == "__main__":
    raise SystemExit(main())
