"""From a panel and a recipe to a judged artifact, for networks and the random walk alike.

Everything here is top-level and takes and returns plain data, so that it runs in a spawned child. Several
requests in one call share the child's import of the framework.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from models.baselines import RandomWalk, fit_random_walk, random_walk_config
from models.calibration import holdout_state
from models.config import ModelConfig, Strategy
from models.data_hash import panel_hash
from models.errors import TooLittleHistory
from models.forecasting.artifact import Artifact, save_artifact
from models.forecasting.ensemble import mean_over_seeds
from models.forecasting.network_forecaster import RANDOM_WALK
from models.gate import Evidence
from models.preprocessing.frame import Panel
from models.preprocessing.pipeline import cut_windows
from models.preprocessing.splits import Spans, holdout_spans
from models.preprocessing.windows import PooledWindows
from models.training.fit import Fitted, answered, fit_config
from models.training.fit_network import EpochEnd
from models.training.holdout import judge
from models.training.refit_check import Predecessor, beside_predecessor
from models.training.walk_forward_evidence import FOLDS, gather_evidence

DateRange = tuple[date, date]


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """One forecaster to train.

    Attributes:
        panel: Frames of one group and the reference series; may reach beyond the cut.
        recipe: How; for the random walk only its strategy counts.
        cut_at: datetime64[s] UTC, inclusive: only what is final by then is used, judging included.
        directory: The folder that holds artifacts.
        on_trial: Whether evidence for the recipe is gathered too (see `models.training.walk_forward_evidence`), which
            costs a training for each fold.
        predecessor: The version that serves now, to be compared with; None where no network does.
    """

    panel: Panel
    config: ModelConfig
    cut_at: np.datetime64
    directory: Path
    on_trial: bool = False
    predecessor: Predecessor | None = None

    @property
    def seeds_to_train(self) -> int:
        """Seeds trained for this request, those of the folds included; 0 for the random walk."""
        if self.config.forecaster == RANDOM_WALK:
            return 0
        return len(self.config.seeds) * (1 + FOLDS * self.on_trial)


@dataclass(frozen=True, slots=True)
class TrainProgress:
    """Where a call stands.

    Attributes:
        strategy: Strategy being trained.
        seed: Seed being trained.
        epoch: Epochs done of this seed, from 1.
        max_epochs: Upper bound of epochs; a seed may end sooner.
        val_loss: Loss on the stop span after this epoch.
        fraction: Share of the call's work done, 0..1; a seed that ends sooner counts as whole.
    """

    strategy: Strategy
    seed: int
    epoch: int
    max_epochs: int
    val_loss: float
    fraction: float


@dataclass(frozen=True, slots=True)
class TrainedArtifact:
    """A saved forecaster and what is known of it.

    Attributes:
        recipe: How it was made.
        path: Its folder.
        sha256: Its hash, to be kept apart from it.
        data_hash: SHA-256 of the bars used (see `digest.panel_hash`).
        train_dates: First and last as_of session of the fit span, both inclusive; None where nothing was measured.
        validation_dates: As `train_dates`, of the early-stopping span; None where nothing was judged.
        test_dates: As `train_dates`, of the judging span; None where nothing was judged.
        data_until: datetime64[s] UTC by which everything used, targets of the judging span included, was
            final; None where nothing was used.
        metrics: JSON-able, see `judging.judge`; empty where nothing was judged. Networks add
            `val_loss` and `epochs` per seed.
        seconds: Time its training took.
        evidence: Daily losses of the recipe on walk-forward folds; None where it was not on trial.
    """

    config: ModelConfig
    path: Path
    sha256: str
    data_hash: str
    train_dates: DateRange | None
    validation_dates: DateRange | None
    test_dates: DateRange | None
    data_until: np.datetime64 | None
    metrics: Mapping[str, Any]
    seconds: float
    evidence: Evidence | None = None


def train_all(requests: Sequence[TrainRequest], report: Callable[[TrainProgress], None]) -> tuple[TrainedArtifact, ...]:
    """Train several requests one after the other, networks and random walks mixed.

    Args:
        requests: What to train.
        report: Called after each epoch; its fraction covers all requests.

    Returns:
        One artifact per request, in their order.

    Raises:
        TooLittleHistory: A network was asked for and the pooled history is too short to judge it.
        UnknownNetwork: A recipe names a network that nobody registered.
    """
    seeds = [request.seeds_to_train for request in requests]
    trained = []
    for position, request in enumerate(requests):
        if request.config.forecaster == RANDOM_WALK:
            trained.append(train_random_walk(request))
        else:
            trained.append(
                _train_network(request, _Reporter(report, request.config, sum(seeds[:position]), sum(seeds)))
            )
    return tuple(trained)


def train(request: TrainRequest, report: Callable[[TrainProgress], None]) -> TrainedArtifact:
    """Train, judge and save one forecaster; see `train_all`."""
    return train_all((request,), report)[0]


def train_random_walk(request: TrainRequest) -> TrainedArtifact:
    """Fit, judge and save the random walk of a strategy.

    It is fitted on the fit span where there are enough dates to judge it, else on everything final by the
    cut; it never fails for want of data.

    Args:
        request: Only the recipe's strategy counts.
    """
    started = perf_counter()
    config = random_walk_config(request.config.strategy)
    windows = cut_windows(request.panel, config, require_targets=True)
    try:
        spans = holdout_spans(windows, request.cut_at)
    except TooLittleHistory:
        walk = fit_random_walk(request.panel, config, request.cut_at)
        measured = _measured_dates(request, config)
        return _save(request, _Outcome(config, walk.to_dict(), {}, {}, _fitted_until(walk), measured), started)
    walk = fit_random_walk(request.panel, config, spans.train_until)
    judged = windows.select(spans.test)
    quantiles = walk.at(judged.sigma)
    metrics = {**judge(judged, quantiles, quantiles), "calibration": holdout_state(judged, quantiles).to_dict()}
    outcome = _Outcome(config, walk.to_dict(), {}, metrics, spans.test_until, *_ranges(spans))
    return _save(request, outcome, started)


@dataclass(frozen=True, slots=True)
class _Reporter:
    """Turns epochs of one request into progress of the whole call."""

    report: Callable[[TrainProgress], None]
    config: ModelConfig
    seeds_before: int
    seeds_in_all: int

    def __call__(self, epoch: EpochEnd, fold: int = -1) -> None:
        """Tell of an epoch; `fold` is the place of a fold of evidence, -1 for the version itself."""
        done = 1.0 if epoch.last else epoch.epoch / self.config.max_epochs
        earlier = self.seeds_before + (1 + fold) * len(self.config.seeds)
        seeds = earlier + self.config.seeds.index(epoch.seed) + done
        self.report(
            TrainProgress(
                self.config.strategy,
                epoch.seed,
                epoch.epoch,
                self.config.max_epochs,
                epoch.val_loss,
                seeds / self.seeds_in_all,
            )
        )


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A fitted forecaster before it is saved."""

    config: ModelConfig
    pipeline: Mapping[str, Any]
    weights: Mapping[int, Any]
    metrics: Mapping[str, Any]
    data_until: np.datetime64 | None
    train_dates: DateRange | None = None
    validation_dates: DateRange | None = None
    test_dates: DateRange | None = None


def _train_network(request: TrainRequest, report: _Reporter) -> TrainedArtifact:
    started = perf_counter()
    config = request.config
    spans = holdout_spans(cut_windows(request.panel, config, require_targets=True), request.cut_at)
    fitted = fit_config(request.panel, config, spans, report)
    walk = fit_random_walk(request.panel, random_walk_config(config.strategy), spans.train_until)
    metrics = judge_network(fitted, fitted.windows.select(spans.test), walk)
    if request.predecessor is not None:
        metrics["predecessor"] = beside_predecessor(request.panel, request.predecessor, fitted, spans)
    outcome = _Outcome(
        config,
        fitted.forecaster.pipeline.to_dict(),
        fitted.forecaster.weights,
        metrics,
        spans.test_until,
        *_ranges(spans),
    )
    saved = _save(request, outcome, started)
    if not request.on_trial:
        return saved
    try:
        evidence = gather_evidence(request.panel, config, request.cut_at, lambda fold, end: report(end, fold))
    except TooLittleHistory:  # a fold ends earlier than the version itself: it stands beside, and is asked for later
        return saved
    return replace(saved, evidence=evidence, seconds=perf_counter() - started)


def judge_network(fitted: Fitted, windows: PooledWindows, walk: RandomWalk) -> dict[str, Any]:
    """Score a fitted network and a random walk on some of the network's windows.

    Args:
        fitted: The network.
        windows: Chosen from `fitted.windows`; those of symbols that a network over market frames does not
            forecast are left out.
        walk: The random walk of the same strategy.

    Returns:
        As `judging.judge`, with `val_loss` and `epochs` per seed, and the state that calibration starts from.

    Raises:
        TooLittleHistory: No window is left.
    """
    windows, each = answered(fitted, windows)
    quantiles = mean_over_seeds(each)
    metrics = judge(windows, quantiles, walk.at(windows.sigma), each)
    calibration = holdout_state(windows, quantiles).to_dict()
    return {
        **metrics, "val_loss": list(fitted.stop_losses), "epochs": list(fitted.epochs), "calibration": calibration
    }  # fmt: skip


def _save(request: TrainRequest, outcome: _Outcome, started: float) -> TrainedArtifact:
    data_hash = panel_hash(request.panel, request.cut_at)
    facts = {
        "cut_at": str(request.cut_at),
        "data_hash": data_hash,
        "data_until": None if outcome.data_until is None else str(outcome.data_until),
        "spans": {
            name: None if span is None else [day.isoformat() for day in span]
            for name, span in (
                ("train", outcome.train_dates),
                ("validation", outcome.validation_dates),
                ("test", outcome.test_dates),
            )
        },
        "metrics": outcome.metrics,
        "libraries": {name: version(name) for name in ("numpy", "keras", "tensorflow")} if outcome.weights else {},
    }
    artifact = Artifact(outcome.config, outcome.pipeline, outcome.weights, facts)
    path, sha256 = save_artifact(artifact, request.directory)
    return TrainedArtifact(
        config=outcome.config,
        path=path,
        sha256=sha256,
        data_hash=data_hash,
        train_dates=outcome.train_dates,
        validation_dates=outcome.validation_dates,
        test_dates=outcome.test_dates,
        data_until=outcome.data_until,
        metrics=outcome.metrics,
        seconds=perf_counter() - started,
    )


def _ranges(spans: Spans) -> tuple[DateRange, DateRange, DateRange]:
    return _days(spans.train_dates), _days(spans.validation_dates), _days(spans.test_dates)


def _days(span: tuple[np.datetime64, np.datetime64]) -> DateRange:
    first, last = (day.astype("datetime64[D]").item() for day in span)
    return first, last


def _measured_dates(request: TrainRequest, config: ModelConfig) -> DateRange | None:
    """First and last as_of session with at least its first target final by the cut."""
    windows = cut_windows(request.panel, config, require_targets=False)
    dates = windows.as_of[windows.target_final_at[:, 0] <= request.cut_at]
    return _days((dates.min(), dates.max())) if len(dates) else None


def _fitted_until(walk: RandomWalk) -> np.datetime64 | None:
    return None if walk.fitted_until is None else np.datetime64(walk.fitted_until, "s")
