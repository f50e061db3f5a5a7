"""Training split by seed, for processes without a common disk: requests out, trained seeds and artifacts back.

Each task is a pure function of plain data: a task that is done twice, because its worker was lost after its work, has
the same result. `fit_seed_task` trains one seed, `finish_request` makes the artifact from all seeds of a request.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from models.backtest.threads import limit_threads
from models.config import ModelConfig
from models.data_hash import panel_hash
from models.errors import ArtifactError, TooLittleHistory
from models.forecasting.artifact import Artifact, PackedArtifact, pack_artifact, unpack_artifact
from models.forecasting.network_forecaster import RANDOM_WALK
from models.preprocessing.pipeline import cut_windows
from models.preprocessing.price_history import Panel
from models.preprocessing.splits import Spans
from models.training.device import Compute
from models.training.fit import VERSION, Fitted, TrainedSeed, fit_seed_alone, join_seeds
from models.training.fit_seed import EpochEnd
from models.training.refit_check import Predecessor
from models.training.train import TrainedArtifact, TrainRequest, train_all, version_spans
from models.training.walk_forward_evidence import FOLDS, evidence_spans

_ALL_TIME = np.datetime64("9999-01-01T00:00:00")


@dataclass(frozen=True, slots=True)
class PortableRequest:
    """A request with the bytes of the artifacts that it names, for a machine that does not have them.

    Attributes:
        request: The request; the paths of its predecessors are names of folders.
        artifacts: These artifacts; one that cannot be read is absent, which the training treats as on its own disk.
        digest: SHA-256 of all that determines the result.
    """

    request: TrainRequest
    artifacts: tuple[PackedArtifact, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class SeedTask:
    """One seed to train.

    Attributes:
        seed: The seed.
        fold: Position of the fold of the evidence; `fit.VERSION` = the version itself.
        threads: Threads that the framework may use; 0 = as many as it chooses.
    """

    seed: int
    fold: int
    threads: int


@dataclass(frozen=True, slots=True)
class SeedResult:
    """A trained seed and the hashes of what it was trained from and of itself.

    Attributes:
        task: The task.
        inputs: Digest of the request, computed where the seed was trained.
        trained: The seed.
        sha256: Hash of `trained`, computed there.
    """

    task: SeedTask
    inputs: str
    trained: TrainedSeed
    sha256: str


def make_portable(request: TrainRequest) -> PortableRequest:
    """Return a request with the bytes of its artifacts and its digest."""
    packed: dict[str, PackedArtifact] = {}
    names: dict[str, Predecessor | None] = {}
    for field in ("predecessor", "start_from"):
        version: Predecessor | None = getattr(request, field)
        names[field] = None if version is None else replace(version, path=Path(version.path.name))
        if version is not None:
            with suppress(ArtifactError):
                packed[version.path.name] = pack_artifact(version.path, version.sha256)
    plain = replace(
        request, directory=Path(), predecessor=names["predecessor"], start_from=names["start_from"]
    )  # fmt: skip
    return PortableRequest(plain, tuple(packed.values()), _digest(plain))


def seed_tasks(request: TrainRequest, threads: int) -> tuple[SeedTask, ...]:
    """Return one task for each seed of a request, and of each fold of its evidence; none for the random walk."""
    if request.config.forecaster == RANDOM_WALK:
        return ()
    folds = (VERSION, *range(FOLDS)) if request.with_evidence else (VERSION,)
    return tuple(SeedTask(seed, fold, threads) for fold in folds for seed in request.config.seeds)


def fit_seed_task(portable: PortableRequest, task: SeedTask, report: Callable[[EpochEnd], None]) -> SeedResult | None:
    """Train one seed; return None for a fold that the history is too short for.

    Raises:
        TooLittleHistory: The history is too short for the version itself.
    """
    if task.threads:
        limit_threads(task.threads)
    with TemporaryDirectory(prefix="tplus-seed-") as name:
        request = _laid_out(portable, Path(name))
        start: Artifact | None = None
        if task.fold == VERSION:
            spans, start = version_spans(request)
        else:
            spans_of_folds = _evidence_spans(request)
            if spans_of_folds is None:
                return None
            spans = spans_of_folds[task.fold]
        config = replace(request.config, seeds=(task.seed,))
        trained = fit_seed_alone(request.panel, config, spans, report, start, Compute(request.compute.device))
    return SeedResult(task, _digest(portable.request), trained, seed_hash(trained))


def finish_request(portable: PortableRequest, results: Sequence[SeedResult]) -> tuple[TrainedArtifact, PackedArtifact]:
    """Test and save the forecaster of a request from its trained seeds; return the artifact with its bytes.

    The path of the artifact is the name of its folder.

    Raises:
        ArtifactError: A result is of other inputs, or was altered.
        TooLittleHistory: The history is too short.
    """
    for result in results:
        check_result(portable, result)
    by_fold: dict[int, list[TrainedSeed]] = {}
    for result in results:
        by_fold.setdefault(result.task.fold, []).append(result.trained)
    with TemporaryDirectory(prefix="tplus-train-") as name:
        request = _laid_out(portable, Path(name))
        (trained,) = train_all((request,), lambda _: None, (_TrainedSeeds(by_fold),))
        packed = pack_artifact(trained.path, trained.sha256)
        return replace(trained, path=Path(trained.path.name)), packed


def check_result(portable: PortableRequest, result: SeedResult) -> None:
    """Check that a result is of a request and arrived as it was sent.

    Raises:
        ArtifactError: It is of other inputs, or was altered.
    """
    if result.inputs != portable.digest:
        raise ArtifactError(f"seed {result.task.seed} was trained from other inputs than those sent; train again")
    if seed_hash(result.trained) != result.sha256:
        raise ArtifactError(f"the weights of seed {result.task.seed} were altered on their way; train again")


def seed_hash(trained: TrainedSeed) -> str:
    """Return the SHA-256 of a trained seed: weights, names, shapes, loss and epochs."""
    digest = hashlib.sha256(f"{trained.seed} {trained.val_loss!r} {trained.epochs} {trained.is_warm}".encode())
    for name, array in sorted(trained.weights.items()):
        digest.update(f"{name} {array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _TrainedSeeds:
    """A `SpansFit` from trained seeds."""

    seeds: Mapping[int, Sequence[TrainedSeed]]

    def __call__(
        self,
        panel: Panel,
        config: ModelConfig,
        spans: Spans,
        _report: Callable[[EpochEnd], None],
        start: Artifact | None = None,
        fold: int = VERSION,
        /,
    ) -> Fitted:
        return join_seeds(panel, config, spans, self.seeds[fold], start)


def _evidence_spans(request: TrainRequest) -> tuple[Spans, ...] | None:
    windows = cut_windows(request.panel, request.config, require_targets=True)
    try:
        return evidence_spans(windows, request.cut_at)
    except TooLittleHistory:
        return None


def _laid_out(portable: PortableRequest, folder: Path) -> TrainRequest:
    """Write the artifacts of a request into a folder and return the request with paths to them."""
    for packed in portable.artifacts:
        unpack_artifact(packed, folder)
    request = portable.request
    versions = {
        field: None if version is None else replace(version, path=folder / version.path)
        for field, version in (("predecessor", request.predecessor), ("start_from", request.start_from))
    }
    return replace(
        request, directory=folder / "new", predecessor=versions["predecessor"], start_from=versions["start_from"]
    )


def _digest(request: TrainRequest) -> str:
    """Return the SHA-256 of all that determines the result of a request; its paths are none of it."""
    identity = {
        "panel": panel_hash(request.panel, _ALL_TIME),
        "config": request.config.to_dict(),
        "cut_at": str(request.cut_at),
        "with_evidence": request.with_evidence,
        "versions": [
            None if version is None else [version.sha256, version.version]
            for version in (request.predecessor, request.start_from)
        ],
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
