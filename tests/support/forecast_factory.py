"""A real database with generated bars, and jobs run in this process, for tests of the ledger."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, insert, select, update

from models.config import ModelConfig, Reference, Strategy
from models.forecasting.artifact import Artifact, save_artifact
from models.networks.lstm_numpy import Weights
from models.preprocessing.pipeline import Pipeline
from models.training.train import TrainedArtifact
from service.clock import DatabaseClock, ReplayMarketClock
from service.db.session import Database
from service.db.tables import (
    bars,
    corporate_actions,
    instruments,
    market_clock,
    model_versions,
    scores,
    served_forecasts,
    sessions,
    stamp,
)
from service.db.tables.forecasts import QUANTILE_NAMES
from service.execution.executor import Answer, Request, Task, TaskFailed
from service.forecasts.forecast_job import forecast
from service.forecasts.publication import NewForecast, Publication, ServedForecast
from service.forecasts.scoring.score_job import score
from service.market.calendars import Calendars
from service.market.exchange_calendar import get_calendar
from service.market.sessions import ensure_sessions
from service.prices.pull.pull_job import pull
from service.prices.sources.base import PriceSource
from service.runs import Claimant, Outcome, PlannedRun, Run, claim, plan, read_outcomes
from service.runtime.context import ServiceContext
from service.runtime.progress import EditionSummary, ScoreSummary, SilentReporter
from service.settings import Settings
from service.training.registry.versions import Decision, Recorded, add_version, decide
from service.vocabulary import ModelStatus
from tests.support.factories import make_panel
from tests.support.fakes import FakeSource

LEASE = timedelta(hours=1)
NOON = datetime(2018, 1, 2, 12, tzinfo=UTC)
SHAPE = (-0.06, -0.04, -0.02, 0.0, 0.02, 0.04, 0.06)
"""Quantiles of the forecasts that `draft_of` makes."""


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    """Return an aware UTC instant."""
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def sessions_until(last: date, n: int, calendar: str = "XNYS") -> list[date]:
    """Return the `n` sessions that end with `last`."""
    return get_calendar(calendar, date(1990, 1, 1), last).sessions(last - timedelta(days=2 * n + 30), last)[-n:]


def random_closes(n: int, seed: int, sigma: float = 0.02) -> list[float]:
    """Return a geometric random walk from 50."""
    steps = np.random.default_rng(seed).normal(0, sigma, n)
    closes: list[float] = (50 * np.exp(np.cumsum(steps))).round(4).tolist()
    return closes


class InProcess:
    """An executor without a process; `meanwhile` is called after each task."""

    def __init__(self) -> None:
        self.at_a_time = 1
        self.meanwhile: Callable[[], None] | None = None
        self.requests: list[Any] = []

    def slots(self) -> int:
        """Return the number of tasks at a time."""
        return self.at_a_time

    def run(self, task: Task[Request, Answer], request: Request, report: Callable[[Any], None] | None = None) -> Answer:
        """Run the task here; its errors are raised as from another process."""
        self.requests.append(request)
        try:
            answer = task(request, report or (lambda _: None))
        except Exception as error:
            raise TaskFailed(str(error), type(error).__name__) from error
        if self.meanwhile is not None:
            self.meanwhile()
        return answer

    def close(self) -> None:
        """Do nothing."""


class Recorder(SilentReporter):
    """Records every report."""

    def __init__(self) -> None:
        self.editions: list[EditionSummary] = []
        self.scored: list[ScoreSummary] = []
        self.notices: list[str] = []
        self.decisions: list[tuple[str, str, str]] = []

    def edition(self, summary: EditionSummary) -> None:
        """Record it."""
        self.editions.append(summary)

    def scores(self, summary: ScoreSummary) -> None:
        """Record it."""
        self.scored.append(summary)

    def notice(self, sentence: str, symbols: Sequence[str] = ()) -> None:
        """Record the notice with its symbols."""
        self.notices.append(" ".join((sentence, *symbols)))

    def decision(self, group: str, strategy: str, sentence: str) -> None:
        """Record it."""
        self.decisions.append((group, strategy, sentence))


@dataclass(frozen=True)
class History:
    """Closes of one symbol that end with a session; None = missing."""

    symbol: str
    last: date
    closes: Sequence[float | None]
    calendar: str = "XNYS"
    group: str = "equity"
    active: bool = True


@dataclass
class Desk:
    """A database with everything a job needs."""

    database: Database
    context: ServiceContext
    worker: InProcess = field(default_factory=InProcess)
    reporter: Recorder = field(default_factory=Recorder)

    def move(self, now: datetime) -> None:
        """Set market time."""
        with self.database.transaction() as connection:
            connection.execute(update(market_clock).values(now=now))
        self.context.calendars.widen(now)

    def add(self, history: History) -> None:
        """Add an instrument with its bars and its calendar's sessions."""
        days = sessions_until(history.last, len(history.closes), history.calendar)
        calendars = self.context.calendars.get(history.calendar)
        with self.database.transaction() as connection:
            connection.execute(insert(instruments).values(_instrument(history, days)))
            ensure_sessions(connection, calendars, days[0], calendars.next(history.last, 40))
        self.put(history.symbol, {d: c for d, c in zip(days, history.closes, strict=True) if c is not None})

    def put(self, symbol: str, closes: dict[date, float]) -> None:
        """Add more bars, final at any hour."""
        rows = [
            {
                "symbol": symbol, "session": day, "open": close, "high": close * 1.01, "low": close * 0.99,
                "close": close, "volume": 1000.0, "source": "hand", "fetched_at": NOON, "revision": 1,
            }
            for day, close in closes.items()
        ]  # fmt: skip
        if rows:
            with self.database.transaction() as connection:
                connection.execute(insert(bars), rows)

    def correct(self, symbol: str, session: date, close: float) -> None:
        """Change a close at the vendor."""
        mine = (bars.c.symbol == symbol, bars.c.session == session)
        with self.database.transaction() as connection:
            connection.execute(update(bars).where(*mine).values(close=close, revision=bars.c.revision + 1))

    def act(self, symbol: str, ex_date: date, kind: str, value: float, at: datetime = NOON) -> None:
        """Add a corporate action."""
        with self.database.transaction() as connection:
            connection.execute(
                insert(corporate_actions).values(symbol=symbol, ex_date=ex_date, kind=kind, value=value, fetched_at=at)
            )

    def close_session(self, calendar: str, session: date) -> None:
        """Mark a session as closed."""
        mine = (sessions.c.calendar == calendar, sessions.c.session == session)
        with self.database.transaction() as connection:
            connection.execute(update(sessions).where(*mine).values(state="closed"))

    def run(self, job: str, session: date, scope: str = "XNYS", sequence: int = 0) -> Run:
        """Plan a run unless it exists, and claim it; a waiting one is claimed again once it is due."""
        calendars = self.context.calendars
        due = calendars.final_at(scope if job != "train" else "XNYS", session)
        with self.database.transaction() as connection:
            plan(connection, [PlannedRun(job, scope, due, session, sequence)])
            now, machine = self.context.market.now(connection), self.context.machine.now(connection)
            run = claim(connection, Claimant("test", (job,), LEASE), now, machine)
        assert run is not None, "no run can be claimed now"
        assert (run.session, run.scope, run.sequence) == (session, scope, sequence)
        return run

    def forecast(self, as_of: date, calendar: str = "XNYS", sequence: int = 0) -> dict[str, Outcome]:
        """Do a forecast run at the current market time; returns its outcomes by symbol."""
        run = self.run("forecast", as_of, calendar, sequence)
        forecast(self.context, run)
        return self.outcomes(run)

    def pull(self, session: date, calendar: str = "XNYS") -> dict[str, Outcome]:
        """Do a pull run at the current market time; returns its outcomes by symbol."""
        run = self.run("pull", session, calendar)
        pull(self.context, run)
        return self.outcomes(run)

    def score(self, session: date, calendar: str = "XNYS", sequence: int = 0) -> dict[str, Outcome]:
        """Do a score run at the current market time; returns its outcomes by symbol."""
        run = self.run("score", session, calendar, sequence)
        score(self.context, run)
        return self.outcomes(run)

    def outcomes(self, run: Run) -> dict[str, Outcome]:
        """Return the outcomes of a run by symbol."""
        with self.database.reading() as connection:
            return {outcome.symbol: outcome for outcome in read_outcomes(connection, run.id)}

    def rows(self, table: Table, **where: object) -> list[Any]:
        """Return the rows of a table, by its first column."""
        query = select(table).order_by(next(iter(table.c)))
        for name, value in where.items():
            query = query.where(table.c[name] == value)
        with self.database.reading() as connection:
            return list(connection.execute(query))

    def served(self, edition: int) -> dict[tuple[str, str], tuple[str, str]]:
        """Return (symbol, strategy) -> (forecaster, reason) of one edition."""
        names = {version.id: version.forecaster for version in self.rows(model_versions)}
        return {
            (item.symbol, item.strategy): (names[item.model_version_id], item.reason)
            for item in self.rows(served_forecasts, edition=edition)
        }

    def newest_scores(self) -> dict[int, Any]:
        """Return the newest score of each scored forecast."""
        return {row.forecast_id: row for row in sorted(self.rows(scores), key=lambda row: row.revision)}

    def add_network(
        self, strategy: Strategy, status: str, seed: int = 1, references: tuple[Reference, ...] = ()
    ) -> int:
        """Add a network of random weights to the group's versions."""
        config = ModelConfig("lstm", strategy, units=3, seeds=(0,), references=references)
        artifact = save_network(config, seed, self.context.settings.artifact_dir)
        with self.database.transaction() as connection:
            return record_version(connection, artifact, status)

    def add_walk(self, strategy: Strategy, status: str = "champion", name: str = "by-hand") -> int:
        """Add a random walk's row, without an artifact, for given forecasts."""
        config = ModelConfig("random_walk", strategy, lookback=1, seeds=(0,))
        artifact = TrainedArtifact(config, Path(name), "s", "d", None, None, None, None, {}, 0.0)
        with self.database.transaction() as connection:
            return record_version(connection, artifact, status)


def open_desk(
    database: Database,
    directory: Path,
    now: datetime = NOON,
    source: PriceSource | None = None,
    references: tuple[str, ...] = (),
) -> Desk:
    """Return a desk over a migrated database, at a market time; the default source is an empty fake."""
    settings = Settings(data_dir=directory, reference_symbols=references, seeds=(0,), source="sample")
    with database.transaction() as connection:
        values = {"id": 1, "source": "fake", "clock_mode": "replay", "start_at": now, "created_at": now}
        connection.execute(insert(stamp).values(values))
        connection.execute(insert(market_clock).values(id=1, now=now))
    worker, reporter = InProcess(), Recorder()
    context = ServiceContext(
        settings, database, source or FakeSource(), DatabaseClock(), ReplayMarketClock(), Calendars(settings, now),
        worker, worker, reporter,
    )  # fmt: skip
    return Desk(database, context, worker, reporter)


def save_network(config: ModelConfig, seed: int, store: Path) -> TrainedArtifact:
    """Save an artifact of random weights with a matching pipeline."""
    panel = make_panel(400, seed=9, symbols=("AAA",), tokyo=())
    pipeline = Pipeline.fit(panel, config, panel.histories[0].final_at[-1])
    random = np.random.default_rng(seed)
    units, wide = config.units, len(pipeline.feature_names)
    shapes = {
        "kernel": (wide, 4 * units),
        "recurrent": (units, 4 * units),
        "bias": (4 * units,),
        "head_kernel": (units, 7 * config.horizon),
        "head_bias": (7 * config.horizon,),
    }
    weights: Weights = {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    path, sha256 = save_artifact(Artifact(config, pipeline.to_dict(), {0: weights}, {"seed": seed}), store)
    return TrainedArtifact(config, path, sha256, "d", None, None, None, None, {}, 0.0)


def record_version(connection: Connection, artifact: TrainedArtifact, status: str, group: str = "equity") -> int:
    """Add a version with a decision on it."""
    recorded = Recorded(NOON, NOON, None)
    version = add_version(connection, group, artifact, NOON, recorded)
    decide(
        connection, version, Decision(ModelStatus(status), f"{artifact.config.forecaster} is {status}", {}), recorded
    )
    return version


@dataclass(frozen=True)
class Said:
    """Return one forecast with given quantiles."""

    symbol: str
    as_of: date
    targets: tuple[date, ...]
    version: int
    strategy: str = "multi_step"
    revision: int = 1
    quantiles: tuple[float, ...] = SHAPE
    last_close: float = 100.0
    served: bool = True


def draft_of(*said: Said, mode: str = "replay", calendar: str = "XNYS") -> Publication:
    """Return an edition of given forecasts, those with `served` served."""
    drafts = tuple(
        NewForecast(
            one.symbol, one.as_of, step, target, one.strategy, one.version, one.revision, 1, one.last_close, 0.02,
            one.quantiles, one.quantiles,
        )
        for one in said
        for step, target in enumerate(one.targets, start=1)
    )  # fmt: skip
    items = tuple(ServedForecast(one.symbol, one.strategy, one.version, "by hand") for one in said if one.served)
    return Publication(mode, calendar, said[0].as_of, None, drafts, items)


def quantiles_of(row: Any) -> tuple[float, ...]:
    """Return the calibrated quantiles of a stored forecast."""
    return tuple(getattr(row, name) for name in QUANTILE_NAMES)


def raw_quantiles_of(row: Any) -> tuple[float, ...]:
    """Return the quantiles of a stored forecast before calibration."""
    return tuple(getattr(row, f"raw_{name}") for name in QUANTILE_NAMES)


def _instrument(history: History, days: Sequence[date]) -> dict[str, Any]:
    return {
        "symbol": history.symbol, "instrument_type": "EQUITY", "group": history.group, "calendar": history.calendar,
        "active": history.active, "reference": False, "basis": 1, "state": "ok", "state_since": NOON,
        "added_at": NOON, "first_session": days[0], "last_session": days[-1],
    }  # fmt: skip
