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

from models.baselines import RandomWalk, fit_random_walk, random_walk_recipe
from models.calibration import judged_state
from models.config import Recipe, Strategy
from models.data_hash import panel_hash
from models.errors import TooLittleHistory
from models.forecasting.artifact import Artifact, save_artifact
from models.forecasting.ensemble import mean_over_seeds
from models.forecasting.network_forecaster import RANDOM_WALK
from models.gate import Evidence
from models.preprocessing.frame import Panel
from models.preprocessing.pipeline import cut_windows
from models.preprocessing.splits import Spans, judged_spans
from models.preprocessing.windows import PooledWindows
from models.training.fit import Fitted, answered, fit_recipe
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
    recipe: Recipe
    cut_at: np.datetime64
    directory: Path
    on_trial: bool = False
    predecessor: Predecessor | None = None

    @property
    def seeds_to_train(self) -> int:
        """Seeds trained for this request, those of the folds included; 0 for the random walk."""
        if self.recipe.architecture == RANDOM_WALK:
            return 0
        return len(self.recipe.seeds) * (1 + FOLDS * self.on_trial)


@dataclass(frozen=True, slots=True)
class TrainProgress:
    """Where a call stands.

    Attributes:
        strategy: Strategy being trained.
        seed: Seed being trained.
        epoch: Epochs done of this seed, from 1.
        max_epochs: Upper bound of epochs; a seed may end sooner.
        stop_loss: Loss on the stop span after this epoch.
        fraction: Share of the call's work done, 0..1; a seed that ends sooner counts as whole.
    """

    strategy: Strategy
    seed: int
    epoch: int
    max_epochs: int
    stop_loss: float
    fraction: float


@dataclass(frozen=True, slots=True)
class TrainedArtifact:
    """A saved forecaster and what is known of it.

    Attributes:
        recipe: How it was made.
        path: Its folder.
        sha256: Its hash, to be kept apart from it.
        data_hash: SHA-256 of the bars used (see `digest.panel_hash`).
        fit_dates: First and last as_of session of the fit span, both inclusive; None where nothing was measured.
        stop_dates: As `fit_dates`, of the early-stopping span; None where nothing was judged.
        judge_dates: As `fit_dates`, of the judging span; None where nothing was judged.
        data_until: datetime64[s] UTC by which everything used, targets of the judging span included, was
            final; None where nothing was used.
        metrics: JSON-able, see `judging.judge`; empty where nothing was judged. Networks add
            `stop_loss` and `epochs` per seed.
        seconds: Time its training took.
        evidence: Daily losses of the recipe on walk-forward folds; None where it was not on trial.
    """

    recipe: Recipe
    path: Path
    sha256: str
    data_hash: str
    fit_dates: DateRange | None
    stop_dates: DateRange | None
    judge_dates: DateRange | None
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
        UnknownArchitecture: A recipe names a network that nobody registered.
    """
    seeds = [request.seeds_to_train for request in requests]
    trained = []
    for position, request in enumerate(requests):
        if request.recipe.architecture == RANDOM_WALK:
            trained.append(train_random_walk(request))
        else:
            trained.append(
                _train_network(request, _Reporter(report, request.recipe, sum(seeds[:position]), sum(seeds)))
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
    recipe = random_walk_recipe(request.recipe.strategy)
    windows = cut_windows(request.panel, recipe, require_targets=True)
    try:
        spans = judged_spans(windows, request.cut_at)
    except TooLittleHistory:
        walk = fit_random_walk(request.panel, recipe, request.cut_at)
        measured = _measured_dates(request, recipe)
        return _save(request, _Outcome(recipe, walk.to_dict(), {}, {}, _fitted_until(walk), measured), started)
    walk = fit_random_walk(request.panel, recipe, spans.fit_until)
    judged = windows.select(spans.judge)
    quantiles = walk.at(judged.sigma)
    metrics = {**judge(judged, quantiles, quantiles), "calibration": judged_state(judged, quantiles).to_dict()}
    outcome = _Outcome(recipe, walk.to_dict(), {}, metrics, spans.judge_until, *_ranges(spans))
    return _save(request, outcome, started)


@dataclass(frozen=True, slots=True)
class _Reporter:
    """Turns epochs of one request into progress of the whole call."""

    report: Callable[[TrainProgress], None]
    recipe: Recipe
    seeds_before: int
    seeds_in_all: int

    def __call__(self, epoch: EpochEnd, fold: int = -1) -> None:
        """Tell of an epoch; `fold` is the place of a fold of evidence, -1 for the version itself."""
        done = 1.0 if epoch.last else epoch.epoch / self.recipe.max_epochs
        earlier = self.seeds_before + (1 + fold) * len(self.recipe.seeds)
        seeds = earlier + self.recipe.seeds.index(epoch.seed) + done
        self.report(
            TrainProgress(
                self.recipe.strategy,
                epoch.seed,
                epoch.epoch,
                self.recipe.max_epochs,
                epoch.stop_loss,
                seeds / self.seeds_in_all,
            )
        )


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A fitted forecaster before it is saved."""

    recipe: Recipe
    pipeline: Mapping[str, Any]
    weights: Mapping[int, Any]
    metrics: Mapping[str, Any]
    data_until: np.datetime64 | None
    fit_dates: DateRange | None = None
    stop_dates: DateRange | None = None
    judge_dates: DateRange | None = None


def _train_network(request: TrainRequest, report: _Reporter) -> TrainedArtifact:
    started = perf_counter()
    recipe = request.recipe
    spans = judged_spans(cut_windows(request.panel, recipe, require_targets=True), request.cut_at)
    fitted = fit_recipe(request.panel, recipe, spans, report)
    walk = fit_random_walk(request.panel, random_walk_recipe(recipe.strategy), spans.fit_until)
    metrics = judge_network(fitted, fitted.windows.select(spans.judge), walk)
    if request.predecessor is not None:
        metrics["predecessor"] = beside_predecessor(request.panel, request.predecessor, fitted, spans)
    outcome = _Outcome(
        recipe,
        fitted.forecaster.pipeline.to_dict(),
        fitted.forecaster.weights,
        metrics,
        spans.judge_until,
        *_ranges(spans),
    )
    saved = _save(request, outcome, started)
    if not request.on_trial:
        return saved
    try:
        evidence = gather_evidence(request.panel, recipe, request.cut_at, lambda fold, end: report(end, fold))
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
        As `judging.judge`, with `stop_loss` and `epochs` per seed, and the state that calibration starts from.

    Raises:
        TooLittleHistory: No window is left.
    """
    windows, each = answered(fitted, windows)
    quantiles = mean_over_seeds(each)
    metrics = judge(windows, quantiles, walk.at(windows.sigma), each)
    calibration = judged_state(windows, quantiles).to_dict()
    return {
        **metrics, "stop_loss": list(fitted.stop_losses), "epochs": list(fitted.epochs), "calibration": calibration
    }  # fmt: skip


def _save(request: TrainRequest, outcome: _Outcome, started: float) -> TrainedArtifact:
    data_hash = panel_hash(request.panel, request.cut_at)
    facts = {
        "cut_at": str(request.cut_at),
        "data_hash": data_hash,
        "data_until": None if outcome.data_until is None else str(outcome.data_until),
        "spans": {
            name: None if span is None else [day.isoformat() for day in span]
            for name, span in (("fit", outcome.fit_dates), ("stop", outcome.stop_dates), ("judge", outcome.judge_dates))
        },
        "metrics": outcome.metrics,
        "libraries": {name: version(name) for name in ("numpy", "keras", "tensorflow")} if outcome.weights else {},
    }
    artifact = Artifact(outcome.recipe, outcome.pipeline, outcome.weights, facts)
    path, sha256 = save_artifact(artifact, request.directory)
    return TrainedArtifact(
        recipe=outcome.recipe,
        path=path,
        sha256=sha256,
        data_hash=data_hash,
        fit_dates=outcome.fit_dates,
        stop_dates=outcome.stop_dates,
        judge_dates=outcome.judge_dates,
        data_until=outcome.data_until,
        metrics=outcome.metrics,
        seconds=perf_counter() - started,
    )


def _ranges(spans: Spans) -> tuple[DateRange, DateRange, DateRange]:
    return _days(spans.fit_dates), _days(spans.stop_dates), _days(spans.judge_dates)


def _days(span: tuple[np.datetime64, np.datetime64]) -> DateRange:
    first, last = (day.astype("datetime64[D]").item() for day in span)
    return first, last


def _measured_dates(request: TrainRequest, recipe: Recipe) -> DateRange | None:
    """First and last as_of session with at least its first target final by the cut."""
    windows = cut_windows(request.panel, recipe, require_targets=False)
    dates = windows.as_of[windows.target_final_at[:, 0] <= request.cut_at]
    return _days((dates.min(), dates.max())) if len(dates) else None


def _fitted_until(walk: RandomWalk) -> np.datetime64 | None:
    return None if walk.fitted_until is None else np.datetime64(walk.fitted_until, "s")
