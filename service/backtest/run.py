"""A backtest from the request to its file: prices, folds, processes, rows."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from models.backtest.fold_cache import inputs_digest, read_fold_result
from models.backtest.fold_runner import CALIBRATION_START, FoldTask, fold_result_path, is_fold_done, peak_bytes
from models.backtest.folds import WalkForward, walk_forward
from models.backtest.forecasters import build_forecasters
from models.backtest.protocols import RECURSIVE, BacktestForecaster, ForecastHistory
from models.baselines.garch import GARCH
from models.calibration import CalibrationState
from models.config import ModelConfig, Reference, Strategy
from models.errors import ModelsError, UnknownNetwork
from models.machine import usable_cores
from models.networks import WINDOW_NETWORKS
from models.training.device import Device
from models.tuned_configs import tuned
from service.backtest.estimate import Estimate
from service.backtest.parquet import ForecasterRows, join_folds, write_rows
from service.backtest.prices import GroupPanel, fetch_all, group_panels
from service.backtest.workers import run_folds
from service.errors import SettingsError, TplusError
from service.execution.choose import fold_executors
from service.prices.sources.base import PriceSource
from service.runtime.context import REFERENCE_GROUPS, parse_reference
from service.runtime.progress import Reporter
from service.settings import Settings

GARCH_COMMAND = "run `make setup-backtest` in the checkout, which adds it to .venv, then run this command again"
"""How to install what garch needs."""

TASK = "backtest"
"""Name of the progress bar."""


@dataclass(frozen=True, slots=True)
class BacktestRequest:
    """The request of a backtest.

    Attributes:
        symbols: Yahoo-style names.
        first: First as_of session, inclusive; may be any date.
        last: Last as_of session, inclusive.
        refit: Sessions that one fit forecasts.
        validation_sessions: Sessions of the validation span.
        networks: Names of networks.
        seeds: Number of seeds of each network: 0, 1, ...
        lookbacks: Sessions in a window; each network is made with all of them.
        baselines: Names of baselines.
        strategies: `one_step`, `multi_step`, `recursive`.
    """

    symbols: tuple[str, ...]
    first: date
    last: date
    refit: int
    validation_sessions: int
    networks: tuple[str, ...]
    seeds: int
    lookbacks: tuple[int, ...]
    baselines: tuple[str, ...]
    strategies: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the request as a JSON-serializable dictionary."""
        return {name: str(value) if isinstance(value, date) else value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class BacktestSummary:
    """Summary of a backtest.

    Attributes:
        out: The file.
        rows: Number of rows in it.
        folds: Number of forecast folds.
        made: Number of (fold, forecaster) computed now.
        found: Number of (fold, forecaster) finished by an earlier run.
        notes: A sentence for each thing that was left out.
        seconds: Duration of this run.
        training_seconds: Sum over all processes of the time in which networks were trained.
        peak_bytes: Sum of the peak memory of all processes.
    """

    out: Path
    rows: int
    folds: int
    made: int
    found: int
    notes: tuple[str, ...]
    seconds: float
    training_seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """The forecasters and folds of one group."""

    group: GroupPanel
    forecasters: tuple[BacktestForecaster, ...]
    tasks: tuple[FoldTask, ...]


class Backtest:
    """One backtest of a request; it runs once."""

    def __init__(self, request: BacktestRequest, settings: Settings, reporter: Reporter) -> None:
        """Create the backtest of a request.

        Args:
            request: The request.
            settings: Settle delays, reference series, configured groups and calendars.
            reporter: Receives progress and notes on what is left out.
        """
        self._request, self._settings, self._reporter = request, settings, reporter
        self._notes: list[str] = []

    def run(self, source: PriceSource, at: datetime, out: Path, jobs: int) -> BacktestSummary:
        """Compute the missing folds and write the file.

        Args:
            source: Source of the prices.
            at: Aware UTC market time: only bars that are final by then count.
            out: Parquet file to create or replace. Finished (fold, forecaster) are kept in a folder next to it, so
                that the same command resumes after a kill.
            jobs: Maximum of folds at a time; 0 = one for each core, or all that a cluster has room for.

        Raises:
            SettingsError: A symbol, date or name is invalid.
            TplusError: Nothing can be forecast, or a fold failed.
        """
        started = time.monotonic()
        if out.is_dir():
            raise SettingsError(f"{out} is a folder; name a file in it for --out")
        parts = out.with_name(f"{out.name}.parts")
        _make_folder(parts)
        plans = self._plans(source, at, parts, jobs or usable_cores())
        tasks = [task for plan in plans for task in plan.tasks]
        missing = [task for task in tasks if not is_fold_done(task)]
        self._reporter.progress(TASK, 0.0, f"{len(tasks)} folds, {len(missing)} to do")
        log = parts / "workers.log"
        executors = fold_executors(self._settings, jobs, log)[: len(missing)] if missing else []
        estimate = Estimate(missing, max(1, len(executors)))
        if missing:
            self._reporter.notice(estimate.before())
        outcome = run_folds(missing, executors, self._report, self._timed(estimate))
        self._reporter.progress(TASK, 1.0, "done")
        if outcome.failures:
            raise TplusError(
                f"{'; '.join(outcome.failures)}; finished results are kept in {parts}, so run the command again"
            )
        rows = self._write(plans, out)
        made = sum(done.made for done in outcome.done)
        return BacktestSummary(
            out=out,
            rows=rows,
            folds=len(tasks),
            made=made,
            found=sum(len(task.forecasters) for task in tasks) - made,
            notes=tuple(self._notes),
            seconds=time.monotonic() - started,
            training_seconds=sum(done.training_seconds for done in outcome.done),
            peak_bytes=peak_bytes() + outcome.peak_bytes,
        )

    def _plans(self, source: PriceSource, at: datetime, parts: Path, jobs: int) -> list[_Plan]:
        """Return the folds and forecasters of all groups."""
        fetched, missing = fetch_all(source, self._request.symbols, self._settings, at)
        for symbol, reason in missing.items():
            self._note(f"{symbol} is left out: {reason}")
        if not fetched:
            raise TplusError("no symbol has prices; use symbols that the source has")
        named = [parse_reference(item) for item in self._settings.reference_symbols]
        references, absent = fetch_all(source, [reference.symbol for reference in named], self._settings, at)
        for symbol, reason in absent.items():
            self._note(f"the reference series {symbol} is missing and masked: {reason}")
        walk = self._walk()
        plans = []
        for group in group_panels(fetched, references):
            forecasters = self._forecasters(tuple(named) if group.group in REFERENCE_GROUPS else ())
            tasks = self._tasks(group, forecasters, walk, parts, jobs)
            if tasks:
                plans.append(_Plan(group, forecasters, tasks))
        if not plans:
            raise TplusError(f"there is no fold to forecast: {'; '.join(self._notes)}")
        return plans

    def _walk(self) -> WalkForward:
        request = self._request
        try:
            first, last = np.datetime64(request.first, "D"), np.datetime64(request.last, "D")
            return WalkForward(first, last, request.refit, request.validation_sessions)
        except ValueError as error:
            raise SettingsError(f"the folds are invalid: {error}") from error

    def _tasks(
        self, group: GroupPanel, forecasters: tuple[BacktestForecaster, ...], walk: WalkForward, parts: Path, jobs: int
    ) -> tuple[FoldTask, ...]:
        try:
            folds, skipped = walk_forward(group.panel, walk)
        except ModelsError as error:
            self._note(f"group {group.group} is left out: {error}")
            return ()
        for fold in skipped:
            self._note(f"{group.group} fold {fold.number} ({fold.test[0]}..{fold.test[1]}) is skipped: {fold.reason}")
        digest = inputs_digest(group.panel)
        threads = max(1, usable_cores() // jobs)
        return tuple(
            FoldTask(group.panel, digest, fold, forecasters, parts, threads, starts_calibration=fold is folds[0])
            for fold in folds
        )

    def _forecasters(self, references: tuple[Reference, ...]) -> tuple[BacktestForecaster, ...]:
        """Return the requested forecasters; an unknown one is noted and left out."""
        request = self._request
        chosen: list[BacktestForecaster] = []
        baselines = [name for name in request.baselines if self._usable(name)]
        for name in baselines:
            chosen += self._build((), (name,))
        for network in request.networks:
            for lookback in request.lookbacks:
                chosen += self._build((self._model_config(network, lookback, references),), ())
        if not chosen:
            raise SettingsError(f"no forecaster is left: {'; '.join(self._notes)}")
        return tuple(sorted(chosen, key=lambda forecaster: forecaster.strategy == RECURSIVE))

    def _model_config(self, network: str, lookback: int, references: tuple[Reference, ...]) -> ModelConfig:
        """Return the config of a network as in the service: for a stateful one the window includes the warm-up."""
        definition = WINDOW_NETWORKS.get(network)
        window = lookback if definition is None else definition.window(lookback)
        seeds = tuple(range(self._request.seeds))
        return tuned(ModelConfig(network, Strategy.MULTI_STEP, window, references, seeds=seeds))

    def _build(self, configs: Sequence[ModelConfig], baselines: Sequence[str]) -> tuple[BacktestForecaster, ...]:
        try:
            return build_forecasters(configs, baselines, self._request.strategies, Device(self._settings.device))
        except UnknownNetwork as error:
            self._note(f"{error}; it is left out")
            return ()

    def _usable(self, baseline: str) -> bool:
        if baseline == GARCH and find_spec("arch") is None:
            self._note(f"the baseline garch is left out: it needs the arch package; {GARCH_COMMAND}")
            return False
        return True

    def _write(self, plans: Sequence[_Plan], out: Path) -> int:
        """Write all finished results to one file and return its number of rows."""
        folds = [
            {
                "group": plan.group.group,
                "fold": task.fold.number,
                "train": [str(day) for day in task.fold.train],
                "validation": [str(day) for day in task.fold.validation],
                "test": [str(day) for day in task.fold.test],
                "train_until": str(task.fold.train_until),
                "cut_at": str(task.fold.cut_at),
            }
            for plan in plans
            for task in plan.tasks
        ]
        failed, facts = self._failures_and_facts(plans)
        document: Mapping[str, Any] = {
            "request": self._request.to_dict(),
            "folds": folds,
            "fits": facts,
            "notes": [*self._notes, *failed],
        }
        self._notes += failed
        try:
            rows = write_rows(out, self._parts(plans), document)
        except OSError as error:
            raise TplusError(
                f"{out} cannot be written ({error.strerror or error}); all forecasts are kept in {out.name}.parts; "
                "free disk space or make the file writable, then run the command again"
            ) from error
        if not rows:
            raise TplusError(f"no forecast was made: {'; '.join(dict.fromkeys(self._notes))}")
        return rows

    def _failures_and_facts(self, plans: Sequence[_Plan]) -> tuple[list[str], list[dict[str, Any]]]:
        """Return a sentence for each missing result, and the facts of each fit."""
        sentences: list[str] = []
        facts: list[dict[str, Any]] = []
        for plan in plans:
            for task in plan.tasks:
                for forecaster in plan.forecasters:
                    result = read_fold_result(fold_result_path(task, forecaster))
                    name = f"{forecaster.name} {forecaster.strategy} in fold {task.fold.number}"
                    if result is None or result.history is None:
                        reason = "its file is missing" if result is None else result.reason
                        sentences.append(f"{name} is left out: {reason}")
                        continue
                    sentences += [
                        f"{name}: {skipped.symbol} is left out: {skipped.reason}" for skipped in result.history.skipped
                    ]
                    own = {key: fact for key, fact in result.history.facts.items() if key != CALIBRATION_START}
                    if own:
                        key = {"fold": task.fold.number, "forecaster": forecaster.name, "strategy": forecaster.strategy}
                        facts.append({**key, "lookback": forecaster.lookback, **own})
        return sentences, facts

    def _parts(self, plans: Sequence[_Plan]) -> Iterator[ForecasterRows]:
        for plan in plans:
            for forecaster in plan.forecasters:
                numbers: list[int] = []
                histories: list[ForecastHistory] = []
                for task in plan.tasks:
                    result = read_fold_result(fold_result_path(task, forecaster))
                    if result is not None and result.history:
                        numbers.append(task.fold.number)
                        histories.append(result.history)
                if histories:
                    history, fold = join_folds(numbers, histories)
                    start = histories[0].facts.get(CALIBRATION_START)
                    initial = None if start is None else CalibrationState.from_dict(start)
                    names = (forecaster.name, forecaster.strategy, forecaster.lookback)
                    yield ForecasterRows(plan.group, *names, history, fold, initial)

    def _timed(self, estimate: Estimate) -> Callable[[int, float], None]:
        def finished(position: int, seconds: float) -> None:
            sentence = estimate.finished(position, seconds)
            if sentence is not None:
                self._reporter.notice(sentence)

        return finished

    def _report(self, share: float, detail: str) -> None:
        self._reporter.progress(TASK, min(share, 0.99), detail)

    def _note(self, sentence: str) -> None:
        if sentence not in self._notes:
            self._notes.append(sentence)
            self._reporter.notice(sentence)


def _make_folder(parts: Path) -> None:
    """Create the folder of fold results and remove unfinished files of a killed run."""
    try:
        parts.mkdir(parents=True, exist_ok=True)
        for unfinished in parts.glob("*.unfinished"):
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(
            f"the folder {parts} cannot be created ({error.strerror}); use another --out or make its folder writable"
        ) from error
