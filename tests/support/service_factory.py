"""A whole service in a test's hands: real parts over a migrated database, with machine time set by hand."""

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
"""Machine time at the beginning of every test: far from any market time, so that no test can mix them up."""


class ManualClock:
    """Machine time that stands still until it is moved."""

    def __init__(self, at: datetime = MACHINE_START) -> None:
        self.at = at

    def now(self, connection: Connection) -> datetime:
        """The time set by hand."""
        return self.at

    def advance(self, seconds: float) -> datetime:
        """Move on; returns the new time."""
        self.at += timedelta(seconds=seconds)
        return self.at


class InProcess:
    """An executor without a process: the task is called here, its errors come as the port says.

    `fault`, while set, is raised instead: a process that dies in the middle of every task. `before` is called
    first: what happens elsewhere while the task runs.
    """

    def __init__(self) -> None:
        self.tasks: list[str] = []
        self.fault: Exception | None = None
        self.before: Callable[[], None] | None = None

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
        """Nothing to end."""


class Recorder(SilentReporter):
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.editions: list[EditionSummary] = []
        self.notices: list[str] = []
        self.ended: list[tuple[str, str, str | None]] = []
        self.decisions: list[str] = []

    def edition(self, summary: EditionSummary) -> None:
        """Keep it."""
        self.editions.append(summary)

    def notice(self, sentence: str, symbols: Any = ()) -> None:
        """Keep it."""
        self.notices.append(sentence)

    def run_ended(self, run: Run, state: str, counts: Mapping[str, int], error: str | None) -> None:
        """Keep job, state and error."""
        self.ended.append((run.job, state, error))

    def decision(self, group: str, strategy: str, sentence: str) -> None:
        """Keep the sentence."""
        self.decisions.append(f"{group} {strategy}: {sentence}")


@dataclass(frozen=True)
class ServiceOptions:
    """What a test wants of its service.

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
    """A context with its hand-held parts."""

    context: ServiceContext
    machine: ManualClock
    reporter: Recorder
    worker: InProcess

    @property
    def database(self) -> Database:
        """The database."""
        return self.context.database

    def scheduler(self) -> Scheduler:
        """A new scheduler over this service."""
        return Scheduler(self.context)

    def move_market(self, at: datetime) -> None:
        """Write the market-time row by hand, as no scheduler would."""
        with self.database.transaction() as connection:
            connection.execute(update(market_clock).values(now=at))

    def work(self, scheduler: Scheduler) -> None:
        """Step until nothing can be done at this instant, a training beside the loop included."""
        for _ in range(200):
            if scheduler.step() is Step.IDLE and not _joined_training(scheduler):
                return
        raise AssertionError("the scheduler does not come to rest")

    def replay(self, scheduler: Scheduler, until: datetime) -> None:
        """Work and move market time, event by event, until an instant (inclusive) or the record's end."""
        mover = ReplayMover(self.context, scheduler.id, GroupReader())
        self.work(scheduler)
        while self.context.market_now() < until and mover.move() is not None:
            self.work(scheduler)


def _joined_training(scheduler: Scheduler) -> bool:
    """Wait for a training beside the loop; returns whether there was one."""
    training = scheduler._training
    if training is None:
        return False
    training.join()
    scheduler._training = None
    return True


def make_service(database: Database, folder: Path, source: PriceSource, wanted: ServiceOptions) -> Service:
    """Stamp a migrated database and put real parts over it; tasks run in process."""
    values = {"reference_symbols": (), "seeds": (0,), "fetch_workers": 1, **wanted.settings}
    settings = Settings(data_dir=folder, database_url=database.url, clock=f"replay:{wanted.start}:0", **values)
    machine, market, reporter, worker = ManualClock(), ReplayMarketClock(), Recorder(), InProcess()
    with database.transaction() as connection:
        ensure_stamp(connection, source.name, settings.market_clock, machine.at, source.record())
        now = market.now(connection)
        add_symbols(connection, wanted.symbols, now, settings.group_of)
    calendars = Calendars(settings, now)
    context = ServiceContext(settings, database, source, machine, market, calendars, worker, worker, reporter)
    return Service(context, machine, reporter, worker)


class SmallNetworks(InProcess):
    """Trains real networks, but narrow ones and for two epochs: seconds in place of a minute."""

    def run(self, task: Any, request: Any, report: Callable[[Any], None] | None = None) -> Any:
        """Call the task, its recipes cut down where it trains."""
        if task is train_forecasters:
            request = tuple(
                replace(each, config=replace(each.config, units=4, max_epochs=2, learning_rate=1e-2))
                if each.config.forecaster != RANDOM_WALK
                else each
                for each in request
            )
        return super().run(task, request, report)
