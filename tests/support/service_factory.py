"""A whole service for tests: real parts over a migrated database, with a manual machine clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, update

from models.training.tasks import train_forecasters
from service.clock import ReplayMarketClock
from service.db.session import Database
from service.db.tables import market_clock
from service.execution.executor import TaskFailed
from service.market.calendars import Calendars
from service.market.instruments import add_symbols
from service.prices.sources.base import PriceSource
from service.runs import Run
from service.runtime.context import ServiceContext
from service.runtime.database_identity import ensure_stamp
from service.runtime.progress import EditionSummary, SilentReporter
from service.scheduler.loop import Scheduler, Step
from service.scheduler.replay_clock import ReplayMover
from service.scheduler.state import GroupReader
from service.settings import Settings
from service.vocabulary import RANDOM_WALK

MACHINE_START = datetime(2030, 1, 1, 12, tzinfo=UTC)
"""Machine time at the beginning of every test: far from any market time, so that no test confuses them."""


class ManualClock:
    """Machine time that changes only when a test moves it."""

    def __init__(self, at: datetime = MACHINE_START) -> None:
        self.at = at

    def now(self, connection: Connection) -> datetime:
        """Return the manual time."""
        return self.at

    def advance(self, seconds: float) -> datetime:
        """Move the time forward; returns the new time."""
        self.at += timedelta(seconds=seconds)
        return self.at


class InProcess:
    """An executor without a process: it calls the task and raises its errors as the interface says.

    `fault`, if set, is raised instead: a process that dies in the middle of every task. `before` is called first:
    an event elsewhere while the task runs.
    """

    def __init__(self) -> None:
        self.at_a_time = 1
        self.tasks: list[str] = []
        self.fault: Exception | None = None
        self.before: Callable[[], None] | None = None

    def slots(self) -> int:
        """Return the number of tasks at a time."""
        return self.at_a_time

    def run(self, task: Any, request: Any, report: Callable[[Any], None] | None = None) -> Any:
        """Call the task."""
        self.tasks.append(task.__name__)
        if self.before is not None:
            hook, self.before = self.before, None
            hook()
        if self.fault is not None:
            raise self.fault
        try:
            return task(request, report or (lambda _progress: None))
        except Exception as error:
            raise TaskFailed(str(error), type(error).__name__) from error

    def close(self) -> None:
        """Do nothing."""


class Recorder(SilentReporter):
    """Records every report."""

    def __init__(self) -> None:
        self.editions: list[EditionSummary] = []
        self.notices: list[str] = []
        self.ended: list[tuple[str, str, str | None]] = []
        self.decisions: list[str] = []

    def edition(self, summary: EditionSummary) -> None:
        """Record it."""
        self.editions.append(summary)

    def notice(self, sentence: str, symbols: Any = ()) -> None:
        """Record it."""
        self.notices.append(sentence)

    def run_ended(self, run: Run, state: str, counts: Mapping[str, int], error: str | None) -> None:
        """Record job, state and error."""
        self.ended.append((run.job, state, error))

    def decision(self, group: str, strategy: str, sentence: str) -> None:
        """Record the sentence."""
        self.decisions.append(f"{group} {strategy}: {sentence}")


@dataclass(frozen=True)
class ServiceOptions:
    """Options of a test's service.

    Attributes:
        start: Market time at which a new database begins, an instant ending in Z or a date.
        symbols: The watchlist.
        settings: Settings that differ.
    """

    start: str
    symbols: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """A service context with its manual parts."""

    context: ServiceContext
    machine: ManualClock
    reporter: Recorder
    worker: InProcess

    @property
    def database(self) -> Database:
        """The database."""
        return self.context.database

    def scheduler(self) -> Scheduler:
        """Return a new scheduler of this service."""
        return Scheduler(self.context)

    def move_market(self, at: datetime) -> None:
        """Write the market-time row directly, without a scheduler."""
        with self.database.transaction() as connection:
            connection.execute(update(market_clock).values(now=at))

    def work(self, scheduler: Scheduler) -> None:
        """Step until there is no more work at this instant, background trainings included."""
        for _ in range(200):
            if scheduler.step() is Step.IDLE and not _joined_training(scheduler):
                return
        raise AssertionError("the scheduler does not become idle")

    def replay(self, scheduler: Scheduler, until: datetime) -> None:
        """Run the scheduler and move market time, event by event, until an instant (inclusive) or the record's end."""
        mover = ReplayMover(self.context, scheduler.id, GroupReader())
        self.work(scheduler)
        while self.context.market_now() < until and mover.move() is not None:
            self.work(scheduler)


def _joined_training(scheduler: Scheduler) -> bool:
    """Wait for a training in the background; returns whether there was one."""
    training = scheduler._training
    if training is None:
        return False
    training.join()
    scheduler._training = None
    return True


def make_service(database: Database, folder: Path, source: PriceSource, options: ServiceOptions) -> Service:
    """Return a service with real parts over a migrated, stamped database; tasks run in process."""
    values = {"reference_symbols": (), "seeds": (0,), "fetch_workers": 1, **options.settings}
    settings = Settings(data_dir=folder, database_url=database.url, clock=f"replay:{options.start}:0", **values)
    machine, market, reporter, worker = ManualClock(), ReplayMarketClock(), Recorder(), InProcess()
    with database.transaction() as connection:
        ensure_stamp(connection, source.name, settings.market_clock, machine.at, source.record())
        now = market.now(connection)
        add_symbols(connection, options.symbols, now, settings.group_of)
    calendars = Calendars(settings, now)
    context = ServiceContext(settings, database, source, machine, market, calendars, worker, worker, reporter)
    return Service(context, machine, reporter, worker)


class SmallNetworks(InProcess):
    """Trains real but narrow networks for two epochs: seconds instead of a minute."""

    def run(self, task: Any, request: Any, report: Callable[[Any], None] | None = None) -> Any:
        """Call the task; trainings get smaller model configs."""
        if task is train_forecasters:
            request = tuple(
                replace(each, config=replace(each.config, units=4, max_epochs=2, learning_rate=1e-2))
                if each.config.forecaster != RANDOM_WALK
                else each
                for each in request
            )
        return super().run(task, request, report)
