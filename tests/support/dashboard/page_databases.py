"""Databases for the page's tests: one replayed by the real scheduler, and a copy in each state."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from models.config import ModelConfig, Strategy
from service.db.migrate import upgrade
from service.db.session import Database
from service.execution.executor import TaskFailed
from service.market.instruments import add_symbols
from service.prices.sources.base import Transient
from service.runs import Claimant, claim, store_progress
from service.scheduler.loop import Scheduler
from tests.support.forecast_factory import record_version, save_network
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import Service, ServiceOptions, make_service

FILE = "dashboard.db"
FIRST, LAST = date(2016, 12, 1), date(2018, 6, 8)
START = "2018-03-01T22:30:00Z"
AS_OF = date(2018, 6, 6)
"""Newest as_of of New York when the replay ends: a Wednesday."""
END = datetime(2018, 6, 6, 22, 30, tzinfo=UTC)
NEXT = date(2018, 6, 7)
CLOSED_DAY = date(2018, 5, 28)
"""Memorial Day, inside every range of the chart."""
LATE = datetime(2018, 6, 5, 6, tzinfo=UTC)
"""When the symbols of other markets join: before their sessions of the day are final."""
SPLIT, DIVIDEND, HALT = date(2018, 5, 14), date(2018, 5, 3), date(2018, 5, 24)

WATCHED = ("AAA", "BBB", "DOUBT", "GONE")
LATECOMERS = ("7203.T", "EURUSD=X", "NEWCO", "NOSUCH", "SHEL.L")


def make_source() -> RecordedWalks:
    """Return the recorded market of these tests: three currencies, a split, a dividend, a halt."""
    halted = frozenset(HALT + timedelta(days=n) for n in range(60))
    walks = (
        Walk("AAA", FIRST, LAST, splits={SPLIT: 2.0}, dividends={DIVIDEND: 0.4}, seed=1, begin=180.0),
        Walk("BBB", FIRST, LAST, seed=2),
        Walk("DOUBT", FIRST, LAST, seed=3),
        Walk("GONE", FIRST, LAST, seed=4, holes=halted),
        Walk("NEWCO", date(2018, 5, 1), LAST, seed=5),
        Walk("7203.T", FIRST, LAST, "XTKS", seed=6, begin=7_000.0, currency="JPY"),
        Walk("SHEL.L", FIRST, LAST, "XLON", seed=7, begin=2_500.0, currency="GBp"),
        Walk("EURUSD=X", FIRST, LAST, "24/5", seed=8, begin=1.1, currency="USD", instrument_type="CURRENCY"),
    )
    return RecordedWalks(walks, name="sample")


def rewrite(source: RecordedWalks) -> None:
    """Make the vendor serve one symbol at a quarter of its price, without a split."""
    source.put(Walk("DOUBT", FIRST, LAST, seed=3, begin=12.5))


def open_market(folder: Path, source: RecordedWalks, max_attempts: int = 4) -> Service:
    """Open the service of a folder's database, and continue its replay."""
    options = ServiceOptions(START, WATCHED, {"groups": ("BBB=wild",), "max_attempts": max_attempts})
    return make_service(Database(f"sqlite:///{folder / FILE}"), folder, source, options)


def reopen(folder: Path, max_attempts: int = 4) -> Service:
    """Open the replayed service again."""
    source = make_source()
    rewrite(source)
    return open_market(folder, source, max_attempts)


def replayed(folder: Path) -> None:
    """Replay fourteen weeks of New York; a network of random weights serves BBB, and loses."""
    with_tables(folder)
    source = make_source()
    service = open_market(folder, source)
    with service.database.transaction() as connection:
        for strategy in Strategy:
            config = ModelConfig("lstm", strategy, units=3, seeds=(0,))
            network = save_network(config, 5, service.context.settings.artifact_dir)
            record_version(connection, network, "champion", "wild")
    scheduler = service.scheduler()
    service.replay(scheduler, LATE)
    with service.database.transaction() as connection:
        add_symbols(connection, LATECOMERS, service.context.market.now(connection), {})
    rewrite(source)
    service.replay(scheduler, END)
    scheduler.close()
    close(service)


def with_tables(folder: Path) -> None:
    """Create an empty database at the newest migration."""
    database = Database(f"sqlite:///{folder / FILE}")
    upgrade(database)
    database.close()


def close(service: Service) -> None:
    """Write everything into one file, so that it can be copied, and close it."""
    with service.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    service.database.close()


def go_on(
    folder: Path, until: datetime, prepare: Callable[[Service], None] | None = None, max_attempts: int = 4
) -> None:
    """Continue the replay of a folder's database up to an instant (inclusive)."""
    service = reopen(folder, max_attempts)
    if prepare is not None:
        prepare(service)
    scheduler = service.scheduler()
    service.replay(scheduler, until)
    scheduler.close()
    close(service)


def publish_next(folder: Path) -> int:
    """Publish the next session's edition as another process does; returns the number of editions."""
    service = reopen(folder)
    scheduler = service.scheduler()
    service.replay(scheduler, datetime(2018, 6, 7, 22, 30, tzinfo=UTC))
    made = len(service.reporter.editions)
    scheduler.close()
    service.database.close()
    return made


def _stale(folder: Path) -> None:
    """Move market time past the next edition without a scheduler."""
    service = reopen(folder)
    service.move_market(datetime(2018, 6, 8, 16, tzinfo=UTC))
    close(service)


def _missed(folder: Path) -> None:
    """Run the scheduler only after T has opened."""

    def late(service: Service) -> None:
        service.move_market(datetime(2018, 6, 8, 14, tzinfo=UTC))

    go_on(folder, datetime(2018, 6, 8, 14, tzinfo=UTC), late)


def _source_down(folder: Path) -> None:
    """Make every request to the vendor fail."""

    def down(service: Service) -> None:
        source = service.context.source
        assert isinstance(source, RecordedWalks)
        source.errors |= {name: Transient(f"{name}: the vendor timed out after 10 s") for name in source.symbols()}

    go_on(folder, datetime(2018, 6, 7, 22, 30, tzinfo=UTC), down)


_LONG = " ".join(f"in batch {batch} of 40 with 512 windows," for batch in range(1, 41))
"""A reason of 1,500 characters: the numbers stay on a phone's first screen."""


def _failed_run(folder: Path) -> None:
    """Make the forecasting worker die at every attempt."""

    def dying(service: Service) -> None:
        service.worker.fault = TaskFailed(f"the worker ran out of memory {_LONG}", "MemoryError")

    go_on(folder, datetime(2018, 6, 7, 22, 30, tzinfo=UTC), dying, max_attempts=1)


def _training(folder: Path) -> None:
    """Make a service with its first training in progress: claimed and 42 % done."""
    (folder / FILE).unlink()
    with_tables(folder)
    service = open_market(folder, make_source())
    scheduler = Scheduler(service.context, ("pull", "score", "forecast"))
    service.work(scheduler)
    scheduler.close()
    claimant = Claimant("trainer", ("train",), timedelta(hours=1))
    with service.database.transaction() as connection:
        run = claim(connection, claimant, service.context.market.now(connection), service.machine.at)
        assert run is not None
        store_progress(connection, run, 0.42, "one_step, seed 0, epoch 7")
    close(service)


def _empty(folder: Path) -> None:
    """Remove the database file."""
    (folder / FILE).unlink()


def _record_ended(folder: Path) -> None:
    go_on(folder, datetime(2018, 6, 11, tzinfo=UTC))


@dataclass(frozen=True)
class Notice:
    """A state that the page must show.

    Attributes:
        make: Changes a copy of the replayed folder to that state; None = no change needed.
        symbol: The symbol to open.
        words: Pattern that its sentence must match, in any case.
        has_forecast: Whether there is a chart below it.
    """

    make: Callable[[Path], None] | None
    symbol: str
    words: str
    has_forecast: bool = True


NOTICES: Mapping[str, Notice] = {
    "empty": Notice(_empty, "", "no tables yet.*tplus up", has_forecast=False),
    "training": Notice(_training, "AAA", "first networks of group equity are being trained"),
    "stale": Notice(_stale, "AAA", "stale.*due by"),
    "source-down": Notice(
        _source_down,
        "AAA",
        "price source cannot be reached since.*(next try at|retries automatically).*timed out after 10 s",
    ),
    "missed": Notice(_missed, "AAA", "opened before this could be issued"),
    "failed-run": Notice(_failed_run, "AAA", "failed.*the worker ran out of memory"),
    "record-ended": Notice(_record_ended, "AAA", "replay ended at 2018-06-08"),
    "void": Notice(None, "GONE", "void.*no bar of"),
    "quarantined": Notice(None, "DOUBT", "quarantine.*0.25 times the stored ones"),
    "losing": Notice(None, "BBB", "On the last 67 sessions.*significantly worse than the random walk at T by 30.5 %"),
    "unknown-symbol": Notice(None, "NOSUCH", "does not know NOSUCH", has_forecast=False),
    "no-forecast": Notice(None, "NEWCO", "60 are needed", has_forecast=False),
}


def make_notice(name: str, base: Path, folder: Path) -> Path:
    """Make a notice's own folder and return it.

    Args:
        name: Of `NOTICES`.
        base: The folder that `replayed` filled.
        folder: Folder to create.
    """
    shutil.copytree(base, folder)
    make = NOTICES[name].make
    if make is not None:
        make(folder)
    return folder
