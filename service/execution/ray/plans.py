"""How the known tasks are split for a cluster: a training by seed, a fold as a pure task; any other is one task."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from models.backtest.fold_runner import FoldDone, FoldTask, run_fold
from models.backtest.portable_fold import make_portable_fold, run_portable_fold, store_fold_files
from models.errors import ArtifactError
from models.forecaster import ForecastBatch
from models.forecasting.artifact import PackedArtifact, pack_artifact, unpack_artifact
from models.training.fit_seed import EpochEnd
from models.training.seed_tasks import (
    PortableRequest,
    SeedResult,
    SeedTask,
    check_result,
    finish_request,
    fit_seed_task,
    make_portable,
    seed_tasks,
)
from models.training.tasks import ForecastTask, forecast_packed, forecast_panel, forecasts_hash, train_forecasters
from models.training.train import TrainedArtifact, TrainProgress, TrainRequest
from service.execution.ray.cluster import Cluster, Work

Report = Callable[[Any], None]
Plan = Callable[[Cluster, Any, Report, threading.Event], Any]


def run_task(
    cluster: Cluster, task: Callable[..., Any], request: Any, report: Report, cancelled: threading.Event
) -> Any:
    """Run a task of the `Executor` port on a cluster; see `Cluster.run_all` for its errors."""
    plan = _PLANS.get(task)
    if plan is not None:
        return plan(cluster, request, report, cancelled)
    return cluster.run_all((Work(task, (request,)),), lambda _, progress: report(progress), cancelled)[0]


def fit_seed_of(
    requests: Sequence[PortableRequest], position: int, task: SeedTask, report: Report
) -> SeedResult | None:
    """Train one seed of one of several requests, which share a panel."""
    return fit_seed_task(requests[position], task, report)


def finish_of(
    requests: Sequence[PortableRequest], position: int, results: Sequence[SeedResult], _report: Report
) -> tuple[TrainedArtifact, PackedArtifact]:
    """Test and save one of several requests."""
    return finish_request(requests[position], results)


def _train(
    cluster: Cluster, requests: Sequence[TrainRequest], report: Report, cancelled: threading.Event
) -> tuple[TrainedArtifact, ...]:
    """Train all seeds of all requests at the same time, then test and save each request."""
    started = time.monotonic()
    portable = tuple(make_portable(request) for request in requests)
    inputs = cluster.put(portable)
    seeds = [
        (position, task) for position, each in enumerate(requests) for task in seed_tasks(each, cluster.config.cpus)
    ]
    progress = _SeedProgress(requests, seeds, report)
    works = [Work(fit_seed_of, (inputs, position, task)) for position, task in seeds]
    found: list[SeedResult | None] = cluster.run_all(works, progress.report, cancelled)
    by_request: list[list[SeedResult]] = [[] for _ in requests]
    for (position, _), result in zip(seeds, found, strict=True):
        if result is not None:
            check_result(portable[position], result)
            by_request[position].append(result)
    works = [
        Work(finish_of, (inputs, position, tuple(results)), trains=False) for position, results in enumerate(by_request)
    ]
    trained: list[TrainedArtifact] = []
    for request, own, (artifact, packed) in zip(
        requests, portable, cluster.run_all(works, lambda *_: None, cancelled), strict=True
    ):
        if artifact.sha256 != packed.sha256 or artifact.config.strategy is not own.request.config.strategy:
            raise ArtifactError(f"the artifact {packed.name[:80]} is not the one that was trained; train again")
        path = unpack_artifact(packed, request.directory)
        trained.append(replace(artifact, path=path, seconds=time.monotonic() - started))
    return tuple(trained)


class _SeedProgress:
    """Turns the epochs of seeds that train at the same time into the progress of the call."""

    def __init__(self, requests: Sequence[TrainRequest], seeds: Sequence[tuple[int, SeedTask]], report: Report) -> None:
        self._requests, self._seeds, self._report = requests, seeds, report
        self._shares = [0.0] * len(seeds)

    def report(self, position: int, end: EpochEnd) -> None:
        """Report the epoch of the seed at a position."""
        config = self._requests[self._seeds[position][0]].config
        share = 1.0 if end.last else end.epoch / config.max_epochs
        self._shares[position] = max(self._shares[position], share)  # a repeated task begins anew
        fraction = sum(self._shares) / len(self._shares)
        self._report(TrainProgress(config.strategy, end.seed, end.epoch, config.max_epochs, end.val_loss, fraction))


def _fold(cluster: Cluster, task: FoldTask, report: Report, cancelled: threading.Event) -> FoldDone:
    """Compute the missing results of a fold and store them in its folder."""
    portable = make_portable_fold(task, cluster.config.cpus)
    panel = cluster.put_once(task.inputs_digest, task.panel)
    works = (Work(run_portable_fold, (panel, portable)),)
    (found,) = cluster.run_all(works, lambda _, progress: report(progress), cancelled)
    return store_fold_files(task, portable, found)


def _forecast(
    cluster: Cluster, task: ForecastTask, _report: Report, cancelled: threading.Event
) -> dict[int, ForecastBatch | str]:
    """Forecast a panel by artifacts that are sent once to each node; one that cannot be read has its message."""
    results: dict[int, ForecastBatch | str] = {}
    keys: list[int] = []
    inputs: list[Any] = []
    for artifact in task.artifacts:
        try:
            packed = pack_artifact(artifact.path, artifact.sha256)
        except ArtifactError as error:
            results[artifact.key] = str(error)
            continue
        keys.append(artifact.key)
        inputs.append(cluster.put_once(artifact.sha256, packed))
    if keys:
        work = Work(forecast_packed, (task.panel, tuple(keys), *inputs), trains=False)
        (found,) = cluster.run_all((work,), lambda *_: None, cancelled)
        if forecasts_hash(found.results) != found.sha256 or set(found.results) != set(keys):
            raise ArtifactError("the forecasts of a node were altered on their way; they are computed again")
        results |= found.results
    return results


_PLANS: dict[Any, Plan] = {train_forecasters: _train, run_fold: _fold, forecast_panel: _forecast}
