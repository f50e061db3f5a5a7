"""Several schedulers on one PostgreSQL share the work; another one takes over from a stalled or dead one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import select

from service.clock import DatabaseClock
from service.db.session import Database
from service.db.tables import runs
from service.scheduler.loop import Scheduler
from tests.support.command import CommandLine, kill_group, wait_for
from tests.support.ledger_checks import assert_nothing_is_lost_or_doubled, issued
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import Service, ServiceOptions, make_service

SYMBOLS = ("AAA", "BBB", "CCC")
SETTINGS = {
    "groups": tuple(f"{symbol}=other" for symbol in SYMBOLS),  # a group without trained networks
    "poll_seconds": 0.02,
}


@pytest.fixture
def lease_seconds() -> int:
    """A lease longer than the pauses of a busy machine: a run is taken over only if a test causes it."""
    return 60


@pytest.fixture
def schedulers(postgres_url: str, tmp_path: Path, lease_seconds: int) -> Iterator[list[Service]]:
    """Three services over one database, each with its own connections, parts and heartbeat."""
    services = [_service(postgres_url, tmp_path, lease_seconds) for _ in range(3)]
    yield services
    for service in services:
        service.database.close()


def _service(url: str, folder: Path, lease_seconds: int) -> Service:
    source = RecordedWalks([Walk(name, date(2023, 9, 1), date(2024, 3, 28), seed=1) for name in SYMBOLS])
    settings = SETTINGS | {"lease_seconds": lease_seconds}
    made = make_service(Database(url), folder, source, ServiceOptions("2024-03-01T22:30:00Z", SYMBOLS, settings))
    return replace(made, context=replace(made.context, machine=DatabaseClock()))


@contextmanager
def working(schedulers: list[Scheduler]) -> Iterator[None]:
    """Run each scheduler in a thread; stops them at the end, and raises their errors."""
    errors: list[Exception] = []

    def run(scheduler: Scheduler) -> None:
        try:
            scheduler.run()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(one,), daemon=True) for one in schedulers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for one in schedulers:
            one.stop()
        for thread in threads:
            thread.join(30)
    assert errors == []
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.slow
def test_three_at_once_do_every_run_once(schedulers: list[Service]) -> None:
    ours = [service.scheduler() for service in schedulers]
    database = schedulers[0].database
    with working(ours):
        wait_for(lambda: issued(database) >= 12, 200)
    assert len(assert_nothing_is_lost_or_doubled(database)) >= 12
    with database.reading() as connection:
        done = connection.execute(select(runs.c.owner, runs.c.token).where(runs.c.state == "done")).all()
    assert {row.token for row in done} == {1}
    owners = {row.owner for row in done}
    assert len(owners) >= 2, "one scheduler did all the work"
    assert owners <= {one.id for one in ours}


@pytest.mark.slow
@pytest.mark.parametrize("lease_seconds", [2])
def test_a_stalled_scheduler_is_fenced(schedulers: list[Service]) -> None:
    """A scheduler hangs during its forecast, with its heartbeat; another takes the run over and publishes."""
    stalled = schedulers[0].scheduler()
    database = schedulers[0].database
    others = [service.scheduler() for service in schedulers[1:]]

    def hang() -> None:
        with working(others):
            wait_for(lambda: issued(database) >= 3, 60)

    while stalled.step().value == "worked" and schedulers[0].worker.before is None:
        with database.reading() as connection:
            done = connection.execute(select(runs.c.job).where(runs.c.state == "done")).scalars().all()
        if "score" in done:
            schedulers[0].worker.before = hang
    assert "was taken over by another worker" in schedulers[0].reporter.notices[-1]
    stalled.close()
    assert len(assert_nothing_is_lost_or_doubled(database)) >= 3
    with database.reading() as connection:
        first = connection.execute(select(runs).where(runs.c.job == "forecast").order_by(runs.c.scheduled_for)).first()
    assert first is not None
    assert (first.state, first.attempt) == ("done", 1)
    assert first.token == 1 + first.takeovers
    assert first.token >= 2  # more if the machine itself pauses for longer than the lease
    assert first.owner in {one.id for one in others}


@pytest.mark.slow
def test_kill_9_on_postgres(postgres_url: str, tmp_path: Path) -> None:
    settings = {"SYMBOLS": "FB", "CLOCK": "replay:2012-12-03T22:30:00Z:0", "LEASE_SECONDS": "2", "POLL_SECONDS": "0.1"}
    line = CommandLine(tmp_path, settings | {"DATABASE_URL": postgres_url})
    assert line.run("db", "upgrade").status == 0
    database = Database(postgres_url)
    processes = [line.start("schedule", log=tmp_path / f"{name}.log") for name in ("first", "second")]
    try:
        wait_for(lambda: issued(database) >= 3)
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait(10)
        before = issued(database)
        wait_for(lambda: issued(database) >= before + 5)
        processes[1].send_signal(signal.SIGTERM)
        assert processes[1].wait(20) == 0
    finally:
        for process in processes:
            kill_group(process)
    assert len(assert_nothing_is_lost_or_doubled(database)) >= 8
    database.close()
