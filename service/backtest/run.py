"""A backtest from the words of its command to its file: prices, folds, processes, rows."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from models.backtest.fold_cache import made_of, read_fold_result
from models.backtest.fold_runner import CALIBRATION_START, FoldTask, fold_result_path, peak_bytes, run_fold_is_done
from models.backtest.folds import WalkForward, walk_forward
from models.backtest.forecasters import forecasters_of
from models.backtest.protocols import RECURSIVE, BacktestForecaster
from models.baselines.garch import GARCH
from models.calibration import CalibrationState
from models.config import ModelConfig, Reference, Strategy
from models.errors import ModelsError, UnknownNetwork
from models.networks import WINDOW_NETWORKS
from models.tuned_configs import tuned
from service.backtest.parquet import ForecasterRows, joined, write_rows
from service.backtest.prices import GroupPanel, fetch_all, group_panels
from service.backtest.workers import cores, run_folds
from service.errors import SettingsError, TplusError
from service.prices.sources.base import PriceSource
from service.runtime.context import REFERENCE_GROUPS, parse_reference
from service.runtime.progress import Reporter
from service.settings import Settings

TASK = "backtest"
"""Name of the progress bar."""


@dataclass(frozen=True, slots=True)
class BacktestRequest:
    """What is asked for.

    Attributes:
        symbols: Yahoo-style names.
        first: First as_of session, inclusive; need not be a session.
        last: Last as_of session, inclusive.
        refit: Sessions that one fit forecasts.
        stop_sessions: Sessions of the early-stopping span.
        networks: Names of networks.
        seeds: How many seeds each network is trained with: 0, 1, ...
        lookbacks: Sessions in a window; every network is made with each.
        baselines: Names of baselines.
        strategies: `one_step`, `multi_step`, `recursive`.
    """

    symbols: tuple[str, ...]
    first: date
    last: date
    refit: int
    stop_sessions: int
    networks: tuple[str, ...]
    seeds: int
    lookbacks: tuple[int, ...]
    baselines: tuple[str, ...]
    strategies: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """JSON-able form."""
        return {name: str(value) if isinstance(value, date) else value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class BacktestSummary:
    """What came of it.

    Attributes:
        out: The file.
        rows: Rows in it.
        folds: Folds forecast.
        made: (fold, forecaster) computed now.
        found: (fold, forecaster) that lay there finished from an earlier run.
        notes: Sentences on whatever was left out.
        seconds: Real time of this run.
        peak_bytes: Most memory of all processes together, each at its own peak.
    """

    out: Path
    rows: int
    folds: int
    made: int
    found: int
    notes: tuple[str, ...]
    seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be done for one group."""

    group: GroupPanel
    forecasters: tuple[BacktestForecaster, ...]
    tasks: tuple[FoldTask, ...]


class Backtest:
    """One backtest, made of a request and run once."""

    def __init__(self, request: BacktestRequest, settings: Settings, reporter: Reporter) -> None:
        """Bind what is asked for.

        Args:
            request: What.
            settings: Settle delays, reference series, groups and calendars set by hand.
            reporter: Told of progress and of what is left out.
        """
        self._request, self._settings, self._reporter = request, settings, reporter
        self._notes: list[str] = []

    def run(self, source: PriceSource, at: datetime, out: Path, jobs: int) -> BacktestSummary:
        """Do what is not done yet and write the file.

        Args:
            source: Where prices come from.
            at: Aware UTC market time: only bars that are final by then count.
            out: Parquet file to make or replace. Finished (fold, forecaster) are kept in a folder beside it, so
                that the same command goes on where it was killed.
            jobs: Processes at most; 0 = one for each core.

        Raises:
            SettingsError: A symbol, date or name cannot be used.
            TplusError: Nothing could be forecast, or a fold failed.
        """
        started = time.monotonic()
        if out.is_dir():
            raise SettingsError(f"{out} is a folder; name a file in it for --out")
        parts = out.with_name(f"{out.name}.parts")
        _make_folder(parts)
        plans = self._plans(source, at, parts, jobs or cores())
        tasks = [task for plan in plans for task in plan.tasks]
        waiting = [task for task in tasks if not run_fold_is_done(task)]
        self._reporter.progress(TASK, 0.0, f"{len(tasks)} folds, {len(waiting)} to do")
        log = parts / "workers.log"
        outcome = run_folds(waiting, jobs or cores(), log, self._tell)
        self._reporter.progress(TASK, 1.0, "done")
        if outcome.failures:
            raise TplusError(
                f"{'; '.join(outcome.failures)}; what is finished stays in {parts}, so run the command again"
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
            peak_bytes=peak_bytes() + outcome.peak_bytes,
        )

    def _plans(self, source: PriceSource, at: datetime, parts: Path, jobs: int) -> list[_Plan]:
        """Folds and forecasters of every group."""
        fetched, refused = fetch_all(source, self._request.symbols, self._settings, at)
        for symbol, reason in refused.items():
            self._note(f"{symbol} is left out: {reason}")
        if not fetched:
            raise TplusError("no symbol has prices to walk through; name symbols that the source holds")
        names = [parse_reference(item) for item in self._settings.reference_symbols]
        references, absent = fetch_all(source, [reference.symbol for reference in names], self._settings, at)
        for symbol, reason in absent.items():
            self._note(f"the reference series {symbol} is absent and masked: {reason}")
        walk = self._walk()
        plans = []
        for group in group_panels(fetched, references):
            forecasters = self._forecasters(tuple(names) if group.group in REFERENCE_GROUPS else ())
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
            return WalkForward(first, last, request.refit, request.stop_sessions)
        except ValueError as error:
            raise SettingsError(f"these folds cannot be cut: {error}") from error

    def _tasks(
        self, group: GroupPanel, forecasters: tuple[BacktestForecaster, ...], walk: WalkForward, parts: Path, jobs: int
    ) -> tuple[FoldTask, ...]:
        try:
            folds, skipped = walk_forward(group.panel, walk)
        except ModelsError as error:
            self._note(f"group {group.group} is left out: {error}")
            return ()
        for each in skipped:
            self._note(f"{group.group} fold {each.number} ({each.test[0]}..{each.test[1]}) is skipped: {each.reason}")
        what = made_of(group.panel)
        threads = max(1, cores() // jobs)
        return tuple(
            FoldTask(group.panel, what, fold, forecasters, parts, threads, leads=fold is folds[0]) for fold in folds
        )

    def _forecasters(self, references: tuple[Reference, ...]) -> tuple[BacktestForecaster, ...]:
        """Every forecaster that there is; one that nobody knows is told of and left out."""
        request = self._request
        chosen: list[BacktestForecaster] = []
        baselines = [name for name in request.baselines if self._usable(name)]
        for name in baselines:
            chosen += self._known((), (name,))
        for network in request.networks:
            for lookback in request.lookbacks:
                chosen += self._known((self._model_config(network, lookback, references),), ())
        if not chosen:
            raise SettingsError(f"no forecaster is left to take part: {'; '.join(self._notes)}")
        return tuple(sorted(chosen, key=lambda forecaster: forecaster.strategy == RECURSIVE))

    def _model_config(self, network: str, lookback: int, references: tuple[Reference, ...]) -> ModelConfig:
        """As the service makes it: a network that carries a state has its warm-up in the window."""
        known = WINDOW_NETWORKS.get(network)
        window = lookback if known is None else known.window(lookback)
        seeds = tuple(range(self._request.seeds))
        return tuned(ModelConfig(network, Strategy.MULTI_STEP, window, references, seeds=seeds))

    def _known(self, configs: Sequence[ModelConfig], baselines: Sequence[str]) -> tuple[BacktestForecaster, ...]:
        try:
            return forecasters_of(configs, baselines, self._request.strategies)
        except UnknownNetwork as error:
            self._note(f"{error}; it is left out")
            return ()

    def _usable(self, baseline: str) -> bool:
        if baseline == GARCH and find_spec("arch") is None:
            self._note("the baseline garch is left out: it needs the arch package, install tplus[backtest]")
            return False
        return True

    def _write(self, plans: Sequence[_Plan], out: Path) -> int:
        """Everything finished into one file."""
        folds = [
            {
                "group": plan.group.group,
                "fold": task.fold.number,
                **{name: [str(day) for day in getattr(task.fold, name)] for name in ("fit", "stop", "test")},
                "train_until": str(task.fold.train_until),
                "cut_at": str(task.fold.cut_at),
            }
            for plan in plans
            for task in plan.tasks
        ]
        failed, facts = self._fold_result_texts(plans)
        document: Mapping[str, Any] = {
            "request": self._request.document(),
            "folds": folds,
            "fits": facts,
            "notes": [*self._notes, *failed],
        }
        self._notes += failed
        try:
            rows = write_rows(out, self._parts(plans), document)
        except OSError as error:
            raise TplusError(
                f"{out} cannot be written ({error.strerror or error}); every forecast stays in {out.name}.parts, "
                "so make room or make it writable and run the command again"
            ) from error
        if not rows:
            raise TplusError(f"not one forecast could be made: {'; '.join(dict.fromkeys(self._notes))}")
        return rows

    def _fold_result_texts(self, plans: Sequence[_Plan]) -> tuple[list[str], list[dict[str, Any]]]:
        """Sentences on what could not be done, and the figures of every fit."""
        sentences: list[str] = []
        facts: list[dict[str, Any]] = []
        for plan in plans:
            for task in plan.tasks:
                for forecaster in plan.forecasters:
                    result = read_fold_result(fold_result_path(task, forecaster))
                    who = f"{forecaster.name} {forecaster.strategy} in fold {task.fold.number}"
                    if result is None or result.history is None:
                        reason = "its file is gone" if result is None else result.reason
                        sentences.append(f"{who} is left out: {reason}")
                        continue
                    sentences += [
                        f"{who}: {refusal.symbol} is left out: {refusal.reason}" for refusal in result.history.refusals
                    ]
                    own = {key: fact for key, fact in result.history.facts.items() if key != CALIBRATION_START}
                    if own:
                        key = {"fold": task.fold.number, "forecaster": forecaster.name, "strategy": forecaster.strategy}
                        facts.append({**key, "lookback": forecaster.lookback, **own})
        return sentences, facts

    def _parts(self, plans: Sequence[_Plan]) -> Iterator[ForecasterRows]:
        for plan in plans:
            for forecaster in plan.forecasters:
                results = [
                    (task.fold.number, read_fold_result(fold_result_path(task, forecaster))) for task in plan.tasks
                ]
                found = [
                    (number, result.history) for number, result in results if result is not None and result.history
                ]
                if found:
                    history, fold = joined(found)
                    start = found[0][1].facts.get(CALIBRATION_START)
                    initial = None if start is None else CalibrationState.from_dict(start)
                    named = (forecaster.name, forecaster.strategy, forecaster.lookback)
                    yield ForecasterRows(plan.group, *named, history, fold, initial)

    def _tell(self, share: float, detail: str) -> None:
        self._reporter.progress(TASK, min(share, 0.99), detail)

    def _note(self, sentence: str) -> None:
        if sentence not in self._notes:
            self._notes.append(sentence)
            self._reporter.notice(sentence)


def _make_folder(parts: Path) -> None:
    """The folder of finished pieces, without what a killed run left half written."""
    try:
        parts.mkdir(parents=True, exist_ok=True)
        for unfinished in parts.glob("*.unfinished"):
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(
            f"the folder {parts} cannot be made ({error.strerror}); name another --out or make its folder writable"
        ) from error
