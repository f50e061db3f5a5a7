"""The work of one fold, done in a worker process: fit each forecaster, forecast, write the results.

For a forecaster that cannot do a fold the reason is written, and the others continue.
"""

import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.backtest.fold_cache import FoldResult, identity_digest, read_fold_result, write_fold_result
from models.backtest.folds import Fold
from models.backtest.forecasters import (
    BaselineForecaster,
    FittedNetworkForecaster,
    NetworkBacktestForecaster,
    RecursiveBacktestForecaster,
)
from models.backtest.protocols import RECURSIVE, BacktestForecaster, FittedForecaster, ForecastHistory
from models.backtest.threads import limit_threads
from models.calibration import CalibrationRows, CalibrationState, calibrate
from models.errors import ModelsError
from models.preprocessing.price_history import Panel

CALIBRATION_START = "calibration_start"
"""Key of the initial calibration state in the facts of a history."""

KILOBYTE = 1024
"""Unit of the peak memory that Linux reports; other systems report bytes, which are read as a thousandfold."""


@dataclass(frozen=True, slots=True)
class FoldTask:
    """The work of one fold for a worker process.

    Attributes:
        panel: Whole price histories and references.
        inputs_digest: Hash of the panel and the code, see `fold_cache.inputs_digest`.
        fold: Dates and instants.
        forecasters: The forecasters, one-step networks before the recursive ones.
        directory: Existing folder of the fold results.
        threads: Threads that the framework may use.
        starts_calibration: Whether calibration starts with this fold, from its validation span.
    """

    panel: Panel
    inputs_digest: str
    fold: Fold
    forecasters: tuple[BacktestForecaster, ...]
    directory: Path
    threads: int
    starts_calibration: bool = False


@dataclass(frozen=True, slots=True)
class FoldProgress:
    """Progress of a fold.

    Attributes:
        fold: Its number.
        forecaster: Name and strategy of the current forecaster.
        fraction: Share of the fold's work done, 0..1.
    """

    fold: int
    forecaster: str
    fraction: float


@dataclass(frozen=True, slots=True)
class FoldDone:
    """Summary of a finished fold.

    Attributes:
        fold: Its number.
        made: Number of forecasters that were computed now; the others were finished before.
        peak_bytes: Peak memory of the process so far.
        training_seconds: Part of its time in which networks were trained.
    """

    fold: int
    made: int
    peak_bytes: int
    training_seconds: float = 0.0


@dataclass(slots=True)
class _Trained:
    """The networks that a fold has trained so far.

    Attributes:
        one_step: Window networks by the digest of their identity, for the recursive strategy.
        seconds: Time of all trainings.
    """

    one_step: dict[str, FittedNetworkForecaster] = field(default_factory=dict)
    seconds: float = 0.0

    def fit(self, forecaster: BacktestForecaster, task: FoldTask, report: Callable[[float], None]) -> FittedForecaster:
        """Fit a forecaster; a window network is kept."""
        started = time.monotonic()
        model = forecaster.fit(task.panel, task.fold, report)
        if isinstance(forecaster, NetworkBacktestForecaster):
            self.seconds += time.monotonic() - started
        if isinstance(model, FittedNetworkForecaster):
            self.one_step[identity_digest(forecaster.identity())] = model
        return model


def run_fold(task: FoldTask, report: Callable[[FoldProgress], None]) -> FoldDone:
    """Compute the missing results of one fold.

    Args:
        task: The fold.
        report: Called with the progress.
    """
    if not all(isinstance(forecaster, BaselineForecaster) for forecaster in task.forecasters):
        limit_threads(task.threads)
    trained = _Trained()
    made = 0
    for position, forecaster in enumerate(task.forecasters):
        path = fold_result_path(task, forecaster)
        result = read_fold_result(path)
        if result is None or result.history is None:  # a forecaster that failed is tried again

            def report_share(
                share: float, position: int = position, forecaster: BacktestForecaster = forecaster
            ) -> None:
                fraction = (position + min(share, 1.0)) / len(task.forecasters)
                report(FoldProgress(task.fold.number, f"{forecaster.name} {forecaster.strategy}", fraction))

            report_share(0.0)
            write_fold_result(path, _fold_result(task, forecaster, trained, report_share))
            made += 1
    return FoldDone(task.fold.number, made, peak_bytes(), trained.seconds)


def is_fold_done(task: FoldTask) -> bool:
    """Return whether all forecasters of a fold have a result on disk."""
    results = (read_fold_result(fold_result_path(task, forecaster)) for forecaster in task.forecasters)
    return all(result is not None and result.history is not None for result in results)


def fold_result_path(task: FoldTask, forecaster: BacktestForecaster) -> Path:
    """Return the path of a forecaster's fold result; its name holds the digest of all that determines it."""
    identity: Mapping[str, Any] = {
        "inputs_digest": task.inputs_digest,
        "fold": [str(day) for day in (*task.fold.train, *task.fold.validation, *task.fold.test)],
        "instants": [str(task.fold.train_until), str(task.fold.cut_at)],
        "starts_calibration": task.starts_calibration,
        "forecaster": forecaster.identity(),
    }
    readable = f"{task.fold.number:03d}-{forecaster.name}-{forecaster.strategy}-{forecaster.lookback}"
    return task.directory / f"{readable}-{identity_digest(identity)[:24]}.npz"


def peak_bytes() -> int:
    """Return the peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE


def _fold_result(
    task: FoldTask, forecaster: BacktestForecaster, trained: _Trained, report: Callable[[float], None]
) -> FoldResult:
    try:
        model = _fit(task, forecaster, trained, report)
        history = model.history(task.panel, *task.fold.test)
        if task.starts_calibration and forecaster.strategy != RECURSIVE:  # sampling paths again would double its time
            validation = model.history(task.panel, *task.fold.validation)
            state = initial_calibration(validation, task.fold).to_dict()
            history = replace(history, facts={**history.facts, CALIBRATION_START: state})
    except ModelsError as error:
        return FoldResult(None, str(error))
    if not len(history):
        return FoldResult(None, f"it forecasts no symbol from {task.fold.test[0]} to {task.fold.test[1]}")
    return FoldResult(history)


def initial_calibration(validation: ForecastHistory, fold: Fold) -> CalibrationState:
    """Return the calibration state before a fold's first as_of.

    It is computed from the outcomes of the validation span that were final by then. No forecaster was fitted on
    these outcomes, except garch, which is estimated up to the cut. The service starts likewise from the test span
    of a version.

    Args:
        validation: The forecasts of the validation span.
        fold: Dates and instants.
    """
    final = validation.target_final_at <= fold.cut_at
    rows = CalibrationRows(
        as_of=validation.as_of,
        final_at=validation.final_at,
        target_final_at=np.where(final, validation.target_final_at, np.datetime64("NaT")),
        sigma=validation.sigma,
        raw=validation.raw,
        actual=np.where(final, validation.actual, np.nan),
    )
    return calibrate(rows).state.with_counts_reset()


def _fit(
    task: FoldTask, forecaster: BacktestForecaster, trained: _Trained, report: Callable[[float], None]
) -> FittedForecaster:
    """Fit a forecaster; the recursive strategy uses a one-step network that this process has fitted."""
    if not isinstance(forecaster, RecursiveBacktestForecaster):
        return trained.fit(forecaster, task, report)
    key = identity_digest(forecaster.one_step.identity())
    if key not in trained.one_step:
        trained.fit(forecaster.one_step, task, report)
    return forecaster.from_one_step(trained.one_step[key])  # `build_forecasters` makes no recursive spatiotemporal one
