"""One fold's work, to be done in a process of its own: every forecaster fitted, asked, and written down.

A forecaster that cannot do a fold is written down with its reason, and the rest goes on.
"""

import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.backtest.fold_cache import FoldResult, digest_of, read_fold_result, write_fold_result
from models.backtest.folds import Fold
from models.backtest.forecasters import BaselineForecaster, FittedNetworkForecaster, RecursiveBacktestForecaster
from models.backtest.protocols import RECURSIVE, BacktestForecaster, FittedForecaster, ForecastHistory
from models.backtest.threads import bound_threads
from models.calibration import CalibrationRows, CalibrationState, calibrate
from models.errors import ModelsError
from models.preprocessing.frame import Panel

CALIBRATION_START = "calibration_start"
"""Key of that state among the facts of a history."""

KILOBYTE = 1024
"""Unit of the peak memory that the system reports (Linux; bytes elsewhere read as a thousandfold)."""


@dataclass(frozen=True, slots=True)
class FoldTask:
    """What a process is asked to do.

    Attributes:
        panel: Whole frames and references.
        made_of: Hash of what every piece depends on: the panel and the code, see `results.made_of`.
        fold: Dates and instants.
        entrants: Who takes part, one-step networks before the recursive ones.
        directory: Folder of the pieces; exists.
        threads: Threads that the framework may use.
        leads: Whether calibration starts with this fold, from its stop span.
    """

    panel: Panel
    made_of: str
    fold: Fold
    forecasters: tuple[BacktestForecaster, ...]
    directory: Path
    threads: int
    leads: bool = False


@dataclass(frozen=True, slots=True)
class FoldProgress:
    """Where a fold stands.

    Attributes:
        fold: Its number.
        forecaster: Name and strategy of the forecaster at work.
        fraction: Share of the fold's work done, 0..1.
    """

    fold: int
    forecaster: str
    fraction: float


@dataclass(frozen=True, slots=True)
class FoldDone:
    """How a fold ended.

    Attributes:
        fold: Its number.
        made: Forecasters that were computed now; the others lay there finished.
        peak_bytes: Most memory the process has held so far.
    """

    fold: int
    made: int
    peak_bytes: int


def run_fold(task: FoldTask, report: Callable[[FoldProgress], None]) -> FoldDone:
    """Do what is not done yet of one fold.

    Args:
        task: What to do.
        report: Told of progress.
    """
    if not all(isinstance(forecaster, BaselineForecaster) for forecaster in task.forecasters):
        bound_threads(task.threads)
    fitted: dict[str, FittedNetworkForecaster] = {}
    made = 0
    for position, forecaster in enumerate(task.forecasters):
        path = fold_result_path(task, forecaster)
        result = read_fold_result(path)
        if result is None or result.history is None:  # what could not be done then may be possible now

            def tell(share: float, position: int = position, forecaster: BacktestForecaster = forecaster) -> None:
                fraction = (position + min(share, 1.0)) / len(task.forecasters)
                report(FoldProgress(task.fold.number, f"{forecaster.name} {forecaster.strategy}", fraction))

            tell(0.0)
            write_fold_result(path, _fold_result(task, forecaster, fitted, tell))
            made += 1
    return FoldDone(task.fold.number, made, peak_bytes())


def run_fold_is_done(task: FoldTask) -> bool:
    """Whether every forecaster of a fold lies there finished."""
    results = (read_fold_result(fold_result_path(task, forecaster)) for forecaster in task.forecasters)
    return all(result is not None and result.history is not None for result in results)


def fold_result_path(task: FoldTask, forecaster: BacktestForecaster) -> Path:
    """Where the piece of an entrant lies: its name holds the digest of all that determines it."""
    identity: Mapping[str, Any] = {
        "made_of": task.made_of,
        "fold": [str(each) for each in (*task.fold.fit, *task.fold.stop, *task.fold.test)],
        "instants": [str(task.fold.train_until), str(task.fold.cut_at)],
        "leads": task.leads,
        "entrant": forecaster.identity(),
    }
    plain = f"{task.fold.number:03d}-{forecaster.name}-{forecaster.strategy}-{forecaster.lookback}"
    return task.directory / f"{plain}-{digest_of(identity)[:24]}.npz"


def peak_bytes() -> int:
    """Most memory this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE


def _fold_result(
    task: FoldTask,
    forecaster: BacktestForecaster,
    fitted: dict[str, FittedNetworkForecaster],
    tell: Callable[[float], None],
) -> FoldResult:
    try:
        model = _fit(task, forecaster, fitted, tell)
        history = model.history(task.panel, *task.fold.test)
        if task.leads and forecaster.strategy != RECURSIVE:  # sampling its paths once more would take as long again
            lead = model.history(task.panel, *task.fold.stop)
            history = replace(history, facts={**history.facts, CALIBRATION_START: start_of(lead, task.fold).to_dict()})
    except ModelsError as error:
        return FoldResult(None, str(error))
    if not len(history):
        return FoldResult(None, f"no symbol has a forecast of it from {task.fold.test[0]} to {task.fold.test[1]}")
    return FoldResult(history)


def start_of(lead: ForecastHistory, fold: Fold) -> CalibrationState:
    """What calibration knows before a fold's first as_of: the outcomes of its stop span that were final by then.

    No forecaster was fitted on them but garch, which is estimated up to the cut. A service knows as much, from the
    span its version was judged on.

    Args:
        lead: The forecaster's answers on the stop span.
        fold: Its dates and instants.
    """
    known = lead.target_final_at <= fold.cut_at
    rows = CalibrationRows(
        as_of=lead.as_of,
        final_at=lead.final_at,
        target_final_at=np.where(known, lead.target_final_at, np.datetime64("NaT")),
        sigma=lead.sigma,
        raw=lead.raw,
        actual=np.where(known, lead.actual, np.nan),
    )
    return calibrate(rows).state.with_counts_reset()


def _fit(
    task: FoldTask,
    forecaster: BacktestForecaster,
    fitted: dict[str, FittedNetworkForecaster],
    tell: Callable[[float], None],
) -> FittedForecaster:
    """Fit an entrant; a one-step network that this process has fitted already serves the recursive one too."""
    if isinstance(forecaster, RecursiveBacktestForecaster):
        key = digest_of(forecaster.one_step.identity())
        if key not in fitted:
            one_step = forecaster.one_step.fit(task.panel, task.fold, tell)
            assert isinstance(one_step, FittedNetworkForecaster)  # see `forecasters_of`
            fitted[key] = one_step
        return forecaster.over(fitted[key])
    model = forecaster.fit(task.panel, task.fold, tell)
    if isinstance(model, FittedNetworkForecaster):
        fitted[digest_of(forecaster.identity())] = model
    return model
