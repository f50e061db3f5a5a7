"""What every executor keeps to: processes of this machine, and a Ray cluster on loopback."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from models.backtest.fold_cache import inputs_digest
from models.backtest.fold_runner import FoldTask, fold_result_path, is_fold_done, run_fold
from models.backtest.folds import WalkForward, walk_forward
from models.backtest.forecasters import build_forecasters
from models.config import ModelConfig, Strategy
from models.forecasting.artifact import load_artifact
from models.training.tasks import (
    ArtifactReference,
    ForecastTask,
    forecast_panel,
    forecasts_hash,
    train_forecasters,
)
from models.training.train import TrainProgress, TrainRequest, train_random_walk
from service.execution.executor import Executor, TaskFailed, WorkerDied, WorkerTimeout
from service.execution.local import KeptChild
from service.execution.ray.executor import ClusterUnreachable, RayExecutor
from tests.support import execution_tasks as tasks
from tests.support.command import wait_for
from tests.support.factories import SPY, VIX, make_panel
from tests.support.paths import ROOT
from tests.support.ray_cluster import RayCluster

Make = Callable[[float], Executor]


@pytest.fixture(scope="module", params=["local", "ray"])
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Yield what makes an executor with a limit in seconds; each is closed at the end."""
    made: dict[float, Executor] = {}
    log = tmp_path_factory.mktemp("executor") / "workers.log"

    def kept(limit: float, build: Callable[[], Executor]) -> Executor:
        if limit not in made:
            made[limit] = build()
        return made[limit]

    if request.param == "ray":
        cluster = request.getfixturevalue("ray_cluster")
        with cluster.network.inside():
            yield lambda limit: kept(limit, lambda: RayExecutor(cluster.config, limit, log))
            for executor in made.values():
                executor.close()
        return
    yield lambda limit: kept(limit, lambda: KeptChild(limit, log, keep_seconds=120.0))
    for executor in made.values():
        executor.close()


@pytest.fixture
def executor(make: Make) -> Executor:
    """Return an executor that all tests share."""
    return make(120.0)


def test_a_task_runs_in_another_process_and_reports_in_order(executor: Executor) -> None:
    assert executor.run(tasks.whereabouts, None) != os.getpid()
    reported: list[Any] = []
    assert executor.run(tasks.count_to, 3, reported.append) == 3
    assert reported == [1, 2, 3]


def test_a_failed_task_is_raised_with_its_kind_and_the_next_one_runs(executor: Executor) -> None:
    with pytest.raises(TaskFailed, match="six is not a number") as caught:
        executor.run(tasks.fail, "six is not a number")
    assert caught.value.kind == "ValueError"
    assert executor.run(tasks.count_to, 1) == 1


def test_a_worker_that_always_dies_is_an_error_and_the_next_task_runs(executor: Executor) -> None:
    with pytest.raises(WorkerDied, match=r"during a task|lost 4 workers"):
        executor.run(tasks.die, None)
    assert executor.run(tasks.count_to, 1) == 1


def test_a_task_over_its_limit_is_stopped_with_its_process(make: Make) -> None:
    started: list[int] = []
    make(5.0).run(tasks.whereabouts, None)  # a driver connects before the limit begins
    with pytest.raises(WorkerTimeout, match="its limit of 5 s"):
        make(5.0).run(tasks.report_and_sleep, 300.0, started.append)
    wait_for(lambda: not is_running(started[0]), 10)


def test_closing_ends_a_running_task(make: Make) -> None:
    executor, started = make(60.0), []

    def close_when_started(pid: int) -> None:
        started.append(pid)
        threading.Thread(target=executor.close).start()

    with pytest.raises(WorkerDied, match="the service is stopping"):
        executor.run(tasks.report_and_sleep, 300.0, close_when_started)
    wait_for(lambda: not is_running(started[0]), 10)


CONFIG = ModelConfig(
    "linear", Strategy.ONE_STEP, references=(SPY, VIX), seeds=(5, 2), max_epochs=3, batch_size=512
)  # fmt: skip
PANEL = make_panel(1300, seed=3)


def train_with(executor: Executor, directory: Path) -> tuple[tuple[str, ...], list[TrainProgress]]:
    cut_at = PANEL.histories[0].final_at[-40]
    walk = replace(CONFIG, forecaster="random_walk")
    requests = tuple(TrainRequest(PANEL, config, cut_at, directory) for config in (walk, CONFIG))
    progress: list[TrainProgress] = []
    trained = executor.run(train_forecasters, requests, progress.append)
    for artifact in trained:
        assert artifact.path.parent == directory
        load_artifact(artifact.path, artifact.sha256)
    assert [artifact.config.forecaster for artifact in trained] == ["random_walk", "linear"]
    return tuple(artifact.sha256 for artifact in trained), progress


LOCAL_HASHES: list[tuple[str, ...]] = []
"""What a process of this machine trained: by the local executor's own test, or first for the cluster's alone."""


def test_a_training_gives_the_same_artifacts_everywhere(executor: Executor, tmp_path: Path) -> None:
    hashes, progress = train_with(executor, tmp_path)
    if not LOCAL_HASHES:
        child = executor if isinstance(executor, KeptChild) else KeptChild(120.0)
        LOCAL_HASHES.append(hashes if child is executor else train_with(child, tmp_path / "local")[0])
    assert hashes == LOCAL_HASHES[0]
    assert {(each.seed, each.epoch) for each in progress} == {(seed, epoch) for seed in (5, 2) for epoch in (1, 2, 3)}
    fractions = [each.fraction for each in progress]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_a_fold_gives_the_same_files_everywhere(executor: Executor, tmp_path: Path) -> None:
    last = PANEL.histories[0].sessions[-40]
    folds, _ = walk_forward(PANEL, WalkForward(last - np.timedelta64(90, "D"), last, 252, 126))
    forecasters = build_forecasters((), ("random_walk", "historical"), ("one_step", "multi_step"))
    here, there = (
        FoldTask(PANEL, inputs_digest(PANEL), folds[0], forecasters, tmp_path / name, 1) for name in ("here", "there")
    )
    for task in (here, there):
        task.directory.mkdir()
    run_fold(here, lambda _: None)
    assert executor.run(run_fold, there).made == len(forecasters)
    assert is_fold_done(there)
    for forecaster in forecasters:
        expected = fold_result_path(here, forecaster).read_bytes()
        assert fold_result_path(there, forecaster).read_bytes() == expected
    assert executor.run(run_fold, there).made == 0


def test_forecasts_are_the_same_everywhere(executor: Executor, tmp_path: Path) -> None:
    # The service sends those of back-fills; an artifact that is not there has its message, and the others forecast.
    walk = train_random_walk(TrainRequest(PANEL, CONFIG, PANEL.histories[0].final_at[-40], tmp_path))
    absent = ArtifactReference(9, tmp_path / "absent", "0" * 64)
    task = ForecastTask(PANEL, (ArtifactReference(4, walk.path, walk.sha256), absent))
    expected = forecast_panel(task, lambda _: None)
    found = executor.run(forecast_panel, task)
    assert forecasts_hash(found) == forecasts_hash(expected)
    assert isinstance(found[9], str)
    assert "absent" in found[9]


# What only a cluster can do wrong: here, so that one cluster serves all of its tests.


@pytest.fixture(scope="module")
def on_cluster(ray_cluster: RayCluster) -> Iterator[RayExecutor]:
    """Yield an executor of the cluster, inside its network."""
    with ray_cluster.network.inside():
        executor = RayExecutor(ray_cluster.config, 120.0)
        yield executor
        executor.close()


def test_a_task_whose_worker_is_killed_is_repeated(on_cluster: RayExecutor, tmp_path: Path) -> None:
    reported: list[Any] = []
    assert on_cluster.run(tasks.die_once, tmp_path / "marker", reported.append) == 2
    assert reported == [1, 1, 2]


def test_calls_of_several_threads_run_at_the_same_time(on_cluster: RayExecutor, tmp_path: Path) -> None:
    assert on_cluster.slots() == 2
    one, other = tmp_path / "one", tmp_path / "other"
    met: list[bool] = []
    threads = [
        threading.Thread(target=lambda names=names: met.append(on_cluster.run(tasks.meet, names)))
        for names in ((one, other), (other, one))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met == [True, True]


def test_a_driver_that_ended_is_replaced(on_cluster: RayExecutor) -> None:
    on_cluster.run(tasks.whereabouts, None)
    before = on_cluster.pid
    assert before is not None
    os.kill(before, 9)  # the call may come before anybody has seen that it ended
    assert on_cluster.run(tasks.count_to, 2) == 2
    assert on_cluster.pid not in (None, before)


OWNER = """
import sys
from pathlib import Path
from service.execution.ray.cluster import ClusterConfig
from service.execution.ray.executor import ClusterUnreachable, RayExecutor
from tests.support import execution_tasks as tasks
if __name__ == "__main__":
    executor = RayExecutor(ClusterConfig(sys.argv[1], Path(sys.argv[2])), 120.0)
    executor.run(tasks.report_and_sleep, 300.0, lambda pid: print(pid, executor.pid, flush=True))
"""


def test_a_killed_owner_leaves_neither_its_driver_nor_its_task(ray_cluster: RayCluster, tmp_path: Path) -> None:
    (tmp_path / "owner.py").write_text(OWNER)
    command = [sys.executable, str(tmp_path / "owner.py"), ray_cluster.config.address, str(ray_cluster.token_file)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (
        ray_cluster.network.inside(),
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as owner,
    ):
        assert owner.stdout is not None
        pids = [int(word) for word in owner.stdout.readline().split()]
        assert len(pids) == 2
        owner.kill()
        wait_for(lambda: not any(is_running(pid) for pid in pids), 20)


def test_another_token_is_refused_with_what_to_do(ray_cluster: RayCluster, tmp_path: Path) -> None:
    other = tmp_path / "token"
    other.write_text("0" * 64)
    with ray_cluster.network.inside():
        executor = RayExecutor(replace(ray_cluster.config, token_file=other, connect_seconds=30.0), 60.0)
        with pytest.raises(ClusterUnreachable, match="compare the token in TPLUS_RAY_TOKEN_FILE"):
            executor.run(tasks.whereabouts, None)
        executor.close()


def is_running(pid: int) -> bool:
    """Whether a process runs; in a container nobody may reap an orphan."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
