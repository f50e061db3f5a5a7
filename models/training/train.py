"""Train, test and save forecasters: networks and the random walk.

Everything here is top-level and takes and returns plain data, so that it runs in a spawned child process. Several
requests in one call share the child's import of the framework.
"""

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from models.phases import Phase
from models.preprocessing.pipeline import cut_windows
from models.preprocessing.price_history import Panel
from models.preprocessing.splits import Spans, holdout_spans
from models.preprocessing.windows import PooledWindows
from models.training.device import THIS_PROCESS, Compute
from models.training.fit import Fitted, SpansFit, fit_on, forecast_windows
from models.training.fit_seed import EpochEnd
from models.training.holdout import evaluate_forecasts
from models.training.refit_check import Predecessor, compare_with_predecessor
from models.training.walk_forward_evidence import FOLDS, gather_evidence
from models.training.warm_start import starting_artifact

DateRange = tuple[date, date]


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """A request to train one forecaster.

    Attributes:
        panel: Price histories of one group and the reference series; may reach beyond the cut.
        config: How to make the forecaster; for the random walk only the strategy is read.
        cut_at: datetime64[s] UTC, inclusive: only what is final by then is used, also for the test.
        directory: The folder that holds artifacts.
        with_evidence: Whether evidence for the config is gathered too (see `models.training.walk_forward_evidence`),
            which costs a training for each fold.
        predecessor: The served version to compare with; None if no network is served.
        start_from: The version of the same config whose weights the training starts from; None = initial weights.
        compute: Where to train.
    """

    panel: Panel
    config: ModelConfig
    cut_at: np.datetime64
    directory: Path
    with_evidence: bool = False
    predecessor: Predecessor | None = None
    start_from: Predecessor | None = None
    compute: Compute = THIS_PROCESS

    @property
    def seeds_to_train(self) -> int:
        """Number of seeds to train for this request, including those of the folds; 0 for the random walk."""
        if self.config.forecaster == RANDOM_WALK:
            return 0
        return len(self.config.seeds) * (1 + FOLDS * self.with_evidence)


@dataclass(frozen=True, slots=True)
class TrainProgress:
    """Progress of a call.

    Attributes:
        strategy: Strategy in training.
        seed: The seed that ended an epoch; several may be in training.
        epoch: Epochs done of this seed, from 1.
        max_epochs: Upper bound of epochs; a seed may end earlier.
        val_loss: Validation loss after this epoch.
        fraction: Share of the call's work done, 0..1; a seed that ends early counts as complete.
    """

    strategy: Strategy
    seed: int
    epoch: int
    max_epochs: int
    val_loss: float
    fraction: float


@dataclass(frozen=True, slots=True)
class TrainedArtifact:
    """A saved forecaster with the facts of its training.

    Attributes:
        config: How it was made.
        path: Its folder.
        sha256: Its hash, to be stored apart from it.
        data_hash: SHA-256 of the bars used (see `data_hash.panel_hash`).
        train_dates: First and last as_of session of the training span, both inclusive; None if nothing was fitted.
        validation_dates: As `train_dates`, of the validation span; None if there was no test.
        test_dates: As `train_dates`, of the test span; None if there was no test.
        data_until: datetime64[s] UTC by which everything used, including the targets of the test span, was
            final; None if nothing was used.
        metrics: JSON-serializable, see `holdout.evaluate_forecasts`; empty if there was no test. Networks add
            `val_loss` and `epochs` per seed.
        seconds: Duration of its training.
        evidence: Daily losses of the config on walk-forward folds; None if not requested or not possible.
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


def train_all(
    requests: Sequence[TrainRequest], report: Callable[[TrainProgress], None], fits: Sequence[SpansFit] = ()
) -> tuple[TrainedArtifact, ...]:
    """Train the forecasters of several requests, one after another; networks and random walks may be mixed.

    Args:
        requests: The forecasters to train.
        report: Called after each epoch; the fraction covers all requests.
        fits: How the network of each request is fitted on given spans; empty = as its `compute` says.

    Returns:
        One artifact per request, in their order.

    Raises:
        TooLittleHistory: A network is requested and the pooled history is too short to test it.
        UnknownNetwork: The network of a config is not registered.
    """
    seeds = [request.seeds_to_train for request in requests]
    trained = []
    for position, request in enumerate(requests):
        if request.config.forecaster == RANDOM_WALK:
            trained.append(train_random_walk(request))
        else:
            with Phase(f"train {request.config.strategy}, prepare") as phase:
                reporter = _Reporter(report, request.config, sum(seeds[:position]), sum(seeds), phase)
                trained.append(_train_network(request, reporter, fits[position] if fits else fit_on(request.compute)))
            gc.collect()  # a network refers to itself, and with it to its windows
    return tuple(trained)


def train(request: TrainRequest, report: Callable[[TrainProgress], None]) -> TrainedArtifact:
    """Train, test and save one forecaster; see `train_all`."""
    return train_all((request,), report)[0]


def train_random_walk(request: TrainRequest) -> TrainedArtifact:
    """Fit, test and save the random walk of a strategy.

    It is fitted on the training span if there are enough dates for a test, otherwise on everything final by the
    cut. It never fails for lack of data.

    Args:
        request: Of its config only the strategy is read.
    """
    with Phase("random walk", rows=request.panel.bars):
        return _fit_random_walk(request)


def _fit_random_walk(request: TrainRequest) -> TrainedArtifact:
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
    tested = windows.select(spans.test)
    quantiles = walk.at(tested.sigma)
    metrics = evaluate_forecasts(tested, quantiles, quantiles)
    metrics["calibration"] = holdout_state(tested, quantiles).to_dict()
    outcome = _Outcome(config, walk.to_dict(), {}, metrics, spans.test_until, *_ranges(spans))
    return _save(request, outcome, started)


@dataclass(frozen=True, slots=True)
class _Reporter:
    """Reports the epochs of one request as progress of the whole call."""

    report: Callable[[TrainProgress], None]
    config: ModelConfig
    seeds_before: int
    total_seeds: int
    phase: Phase
    done: dict[tuple[int, int], float] = field(default_factory=dict)
    """Share of the work done by fold and seed: seeds that are trained at the same time alternate."""

    def __call__(self, epoch: EpochEnd, fold: int = -1) -> None:
        """Report an epoch; `fold` is the position of an evidence fold, -1 for the version itself."""
        if fold < 0:
            self.phase.lap(f"train {self.config.strategy}, seed {epoch.seed}")
        self.done[fold, epoch.seed] = 1.0 if epoch.last else epoch.epoch / self.config.max_epochs
        self.report(
            TrainProgress(
                self.config.strategy,
                epoch.seed,
                epoch.epoch,
                self.config.max_epochs,
                epoch.val_loss,
                (self.seeds_before + sum(self.done.values())) / self.total_seeds,
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


def version_spans(request: TrainRequest) -> tuple[Spans, Artifact | None]:
    """Return the spans that a version is fitted on, and the artifact that its training starts from.

    Raises:
        TooLittleHistory: The pooled history is too short.
    """
    windows = cut_windows(request.panel, request.config, require_targets=True)
    spans = holdout_spans(windows, request.cut_at)
    return spans, starting_artifact(request.start_from, request.config, spans)


def _train_network(request: TrainRequest, report: _Reporter, fit: SpansFit) -> TrainedArtifact:
    started = perf_counter()
    config = request.config
    spans, start = version_spans(request)
    fitted = fit(request.panel, config, spans, report, start)
    with Phase("test"):
        walk = fit_random_walk(request.panel, random_walk_config(config.strategy), spans.train_until)
        metrics = evaluate_network(fitted, fitted.windows.select(spans.test), walk)
        if fitted.device is not None:
            metrics["device"] = fitted.device.to_dict()
        if fitted.is_warm and request.start_from is not None:
            metrics["started_from"] = request.start_from.version
        if request.predecessor is not None:
            metrics["predecessor"] = compare_with_predecessor(request.panel, request.predecessor, fitted, spans)
    outcome = _Outcome(
        config,
        fitted.forecaster.pipeline.to_dict(),
        fitted.forecaster.weights,
        metrics,
        spans.test_until,
        *_ranges(spans),
    )
    saved = _save(request, outcome, started)
    if not request.with_evidence:
        return saved
    del fitted, spans  # the windows of millions of bars: each fold has its own
    gc.collect()
    try:
        with Phase(f"gate {config.strategy}"):
            evidence = gather_evidence(request.panel, config, request.cut_at, lambda fold, end: report(end, fold), fit)
    except TooLittleHistory:  # a fold ends earlier than the version: save it without evidence, a later training adds it
        return saved
    return replace(saved, evidence=evidence, seconds=perf_counter() - started)


def evaluate_network(fitted: Fitted, windows: PooledWindows, walk: RandomWalk) -> dict[str, Any]:
    """Score a fitted network and a random walk on some of the network's windows.

    Args:
        fitted: The network.
        windows: A selection of `fitted.windows`; windows of symbols that a spatiotemporal network does not
            forecast are left out.
        walk: The random walk of the same strategy.

    Returns:
        As `holdout.evaluate_forecasts`, with `val_loss` and `epochs` per seed, and the initial calibration state.

    Raises:
        TooLittleHistory: No window is left.
    """
    windows, seeds = forecast_windows(fitted, windows)
    quantiles = mean_over_seeds(seeds)
    metrics = evaluate_forecasts(windows, quantiles, walk.at(windows.sigma), seeds)
    calibration = holdout_state(windows, quantiles).to_dict()
    return {
        **metrics, "val_loss": list(fitted.val_losses), "epochs": list(fitted.epochs), "calibration": calibration
    }  # fmt: skip


def _save(request: TrainRequest, outcome: _Outcome, started: float) -> TrainedArtifact:
    with Phase("save"):
        return _saved(request, outcome, started)


def _saved(request: TrainRequest, outcome: _Outcome, started: float) -> TrainedArtifact:
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
        "libraries": _libraries(outcome) if outcome.weights else {},
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


def _libraries(outcome: _Outcome) -> dict[str, str]:
    """Return the versions of the libraries that trained a network."""
    backend = str(outcome.metrics.get("device", {}).get("backend", "tensorflow")).split()[0]
    return {name: version(name) for name in ("numpy", "keras", backend)}


def _ranges(spans: Spans) -> tuple[DateRange, DateRange, DateRange]:
    return _days(spans.train_dates), _days(spans.validation_dates), _days(spans.test_dates)


def _days(span: tuple[np.datetime64, np.datetime64]) -> DateRange:
    first, last = (day.astype("datetime64[D]").item() for day in span)
    return first, last


def _measured_dates(request: TrainRequest, config: ModelConfig) -> DateRange | None:
    """Return the first and last as_of session whose first target at least is final by the cut."""
    windows = cut_windows(request.panel, config, require_targets=False)
    dates = windows.as_of[windows.target_final_at[:, 0] <= request.cut_at]
    return _days((dates.min(), dates.max())) if len(dates) else None


def _fitted_until(walk: RandomWalk) -> np.datetime64 | None:
    return None if walk.fitted_until is None else np.datetime64(walk.fitted_until, "s")
