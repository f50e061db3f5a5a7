"""Machine faults under a running service: a clear message, no lost data, and automatic recovery."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import psutil
import psycopg
import pytest
from sqlalchemy import event, func, select, text

from models.training.tasks import train_forecasters
from service.clock import SystemMarketClock
from service.db.revision import HEAD
from service.db.session import Database
from service.db.tables import editions, forecasts, runs
from service.execution.local import KeptChild, WarmWorker
from service.forecasts.ledger import verify
from service.scheduler.loop import Step
from service.vocabulary import RANDOM_WALK
from tests.support import execution_tasks, postgres
from tests.support.command import CommandLine, kill_group, wait_for
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import Service, ServiceOptions, make_service

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
UNUSABLE = "the database cannot be used; retrying"
USABLE = "the database can be used again"
START = "replay:2012-12-03T22:30:00Z:0.2"


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a small file system; skips the test if that is not possible."""
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a small file system needs root on Linux")
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tplus-test", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this machine allows no mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path) -> Path:
    """Fill the disk; returns the file that does."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as out:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while out.write(b"0" * size) == size:
                    pass
            except OSError:
                continue
    return ballast


@dataclass(frozen=True)
class Up:
    """A running `tplus up`."""

    process: "subprocess.Popen[bytes]"
    log: Path
    port: int
    database: Database

    def count_in_log(self, text: str) -> int:
        """Return how often its output contains a text so far."""
        return self.log.read_text().count(text)

    def wait_for_text(self, text: str, times: int = 1) -> None:
        """Wait until its output contains a text so many times."""
        wait_for(lambda: self.count_in_log(text) >= times)

    def get(self, path: str) -> tuple[int, dict[str, Any], str]:
        """Return status, document and media type of an answer; status 0 without an answer."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, json.loads(answer.read()), answer.headers["content-type"]
        except HTTPError as error:
            with closing(error):
                return error.code, json.loads(error.read()), error.headers["content-type"]
        except (URLError, OSError):
            return 0, {}, ""

    def is_ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def issued(self) -> int:
        with self.database.reading() as connection:
            return int(connection.execute(select(func.count()).select_from(editions)).scalar_one())

    def wait_for_editions(self, more: int = 3) -> None:
        """Wait for further editions."""
        before = self.issued()
        wait_for(lambda: self.issued() >= before + more)

    def wait_for_503(self, words: str) -> None:
        """Wait for the API's 503 problem document with its reason."""
        wait_for(lambda: self.get("/readyz")[0] == 503 and words in self.get("/readyz")[1]["detail"])
        status, document, media = self.get("/readyz")
        assert (status, document["status"], media) == (503, 503, "application/problem+json")
        assert "\n" not in document["detail"]

    def end(self) -> None:
        """Stop as `docker stop` does; then nothing may be lost, doubled or altered."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0
        assert "Traceback" not in self.log.read_text()
        with self.database.reading() as connection:
            assert verify(connection) == []
            done = connection.execute(
                select(runs.c.session, runs.c.state).where(runs.c.job == "forecast").order_by(runs.c.session)
            ).all()
            as_ofs = list(connection.execute(select(editions.c.as_of).order_by(editions.c.number)).scalars())
            keys = (forecasts.c.symbol, forecasts.c.as_of, forecasts.c.strategy, forecasts.c.step)
            doubled = connection.execute(select(*keys).group_by(*keys).having(func.count() > 1)).all()
            failed = connection.execute(select(runs.c.job, runs.c.error).where(runs.c.state == "failed")).all()
        assert as_ofs == [row.session for row in done if row.state == "done"]
        assert {row.state for row in done[:-1]} == {"done"}
        assert (doubled, failed) == ([], [])


@contextmanager
def running_up(folder: Path, url: str, log: Path) -> Iterator[Up]:
    port = postgres.free_port()
    settings = {"SYMBOLS": "FB", "CLOCK": START, "DATABASE_URL": url, "PORT": str(port), "POLL_SECONDS": "0.1",
                "LEASE_SECONDS": "2", "RETRY_SECONDS": "0.2"}  # fmt: skip
    line = CommandLine(folder, settings)
    assert line.run("db", "upgrade").status == 0
    up = Up(line.start("up", log=log), log, port, Database(url))
    try:
        wait_for(lambda: up.is_ready() and up.issued() >= 2)
        yield up
    finally:
        kill_group(up.process)
        up.database.close()


@pytest.mark.slow
def test_a_full_disk_recovers_once_there_is_space(tmp_path: Path) -> None:
    log = tmp_path / "up.log"
    with small_disk(tmp_path / "data", "48m") as disk, running_up(disk, f"sqlite:///{disk / 'tplus.db'}", log) as up:
        ballast = fill(disk)
        up.wait_for_text("database or disk is full")
        assert up.get("/v1/forecasts/FB")[0] == 200  # published forecasts are still served
        time.sleep(3)  # longer than a lease and than the retries of a run
        ballast.unlink()
        up.wait_for_editions()
        up.end()


@pytest.mark.slow
def test_a_database_migrated_by_another_version_is_used_again_once_restored(tmp_path: Path) -> None:
    log = tmp_path / "up.log"

    def set_migration(migration: str) -> None:
        with up.database.transaction() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :to"), {"to": migration})

    with running_up(tmp_path, f"sqlite:///{tmp_path / 'tplus.db'}", log) as up:
        set_migration("9001")
        words = f"is at migration 9001, this version knows up to {HEAD}; install the newer Tplus again"
        up.wait_for_text(words)
        up.wait_for_503(words)
        set_migration(HEAD)
        up.wait_for_text(USABLE)
        up.wait_for_editions()
        wait_for(up.is_ready)
        assert up.log.read_text().count(words) <= 3  # reported, but not in every loop
        up.end()


@dataclass
class Server:
    """A PostgreSQL server that a test may kill and restart."""

    folder: Path
    data: Path
    user: str | None
    port: int
    password: str
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"postgresql://tplus:{self.password}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        program = str(postgres.find_binaries() / "postgres")
        place = [f"-D{self.data}", f"-p{self.port}", "-clisten_addresses=127.0.0.1", "-cunix_socket_directories="]
        self.process = postgres.start([program, *postgres.FORGETFUL, *place], self.user, self.folder / "server.log")
        wait_for(self._answers)

    def kill(self) -> None:
        """Kill the server and each of its sessions, as in a power cut."""
        assert self.process is not None
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for each in family:
            each.kill()
        self.process.wait(10)
        psutil.wait_procs(family, timeout=10)

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@pytest.fixture
def server() -> Iterator[Server]:
    try:
        binaries, user = postgres.find_binaries(), postgres.runs_as()
    except postgres.NoPostgres as error:
        postgres.skip_or_fail(error)
    options = postgres.Options()
    with postgres.folder_of(user) as folder:
        data = postgres.make_cluster(binaries, user, folder, options)
        made = Server(folder, data, user, postgres.free_port(), options.password)
        made.start()
        try:
            yield made
        finally:
            if made.process is not None:
                postgres.stop(made.process)


@pytest.mark.slow
def test_a_killed_then_read_only_postgresql_recovers(tmp_path: Path, server: Server) -> None:
    with running_up(tmp_path, server.url, tmp_path / "up.log") as up:
        server.kill()
        up.wait_for_text(UNUSABLE)
        up.wait_for_503("cannot be reached (connection")
        assert up.get("/healthz")[0] == 200
        server.start()
        up.wait_for_text(USABLE)
        wait_for(up.is_ready)
        up.wait_for_editions()
        faults, recoveries = up.count_in_log(UNUSABLE), up.count_in_log(USABLE)
        server.execute("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        up.wait_for_text(UNUSABLE, times=faults + 1)  # the loop has reported it; the heartbeat may have done so before
        up.wait_for_text("in a read-only transaction")
        assert up.get("/v1/forecasts/FB")[0] == 200
        off = "SET default_transaction_read_only = off"
        server.execute(off, "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
        up.wait_for_text(USABLE, times=recoveries + 1)
        up.wait_for_editions()
        up.end()


class Dying:
    """A real executor whose first task is killed by SIGKILL, as on a machine short of memory.

    The process kills itself: a signal from outside would race with the end of the task.
    """

    def __init__(self, real: WarmWorker | KeptChild) -> None:
        self._real = real
        self.deaths = 0

    def slots(self) -> int:
        return self._real.slots()

    def run(self, task: Any, request: Any, report: Callable[[Any], None] | None = None) -> Any:
        """Run a task; the first one is killed."""
        if self.deaths == 0:
            self.deaths += 1
            return self._real.run(execution_tasks.die, None)
        return self._real.run(task, small_configs(request) if task is train_forecasters else request, report)

    def close(self) -> None:
        """End the process."""
        self._real.close()


def small_configs(requests: Any) -> Any:
    """Return the same trainings with narrow networks and one epoch."""
    return tuple(
        each
        if each.config.forecaster == RANDOM_WALK
        else replace(each, config=replace(each.config, units=4, max_epochs=1))
        for each in requests
    )


def walks(first: date = date(2023, 9, 1), last: date = date(2024, 3, 20)) -> RecordedWalks:
    return RecordedWalks([Walk("AAA", first, last, seed=1), Walk("BBB", first, last, seed=2)])


def at(day: int, hour: int = 22, minute: int = 30) -> datetime:
    return datetime(2024, 3, day, hour, minute, tzinfo=UTC)


def run_rows(service: Service, job: str) -> list[tuple[str, int]]:
    with service.database.reading() as connection:
        query = select(runs.c.state, runs.c.attempt).where(runs.c.job == job).order_by(runs.c.scheduled_for)
        return [(row.state, row.attempt) for row in connection.execute(query)]


def as_ofs(service: Service) -> list[date]:
    with service.database.reading() as connection:
        assert verify(connection) == []
        return list(connection.execute(select(editions.c.as_of).order_by(editions.c.number)).scalars())


@SQLITE
def test_a_forecasting_worker_killed_during_a_task_is_restarted(database: Database, tmp_path: Path) -> None:
    service = make_service(database, tmp_path, walks(), ServiceOptions("2024-03-01T22:30:00Z", ("AAA", "BBB")))
    worker = Dying(WarmWorker(log=tmp_path / "workers.log"))
    service = replace(service, context=replace(service.context, warm=worker))
    scheduler = service.scheduler()
    service.work(scheduler)
    assert worker.deaths == 1
    (error,) = [message for _, state, message in service.reporter.ended if state == "due" and message]
    assert error.startswith("the forecasting worker process ended during a task (exit code -9); memory may")
    service.machine.advance(60)
    service.work(scheduler)
    scheduler.close()
    worker.close()
    assert as_ofs(service) == [date(2024, 3, 1)]
    assert {run_rows(service, job)[0] for job in ("forecast", "train")} == {("done", 1), ("done", 2)}


@SQLITE
@pytest.mark.slow
def test_a_killed_training_is_retried_while_the_old_champion_serves(database: Database, tmp_path: Path) -> None:
    source = walks(date(2019, 6, 3), date(2024, 3, 15))
    service = make_service(database, tmp_path, source, ServiceOptions("2024-03-01T22:30:00Z", ("AAA", "BBB")))
    child = Dying(KeptChild(120.0, tmp_path / "workers.log"))
    service = replace(service, context=replace(service.context, child=child))
    scheduler = service.scheduler()
    service.work(scheduler)
    assert child.deaths == 1
    assert run_rows(service, "train") == [("due", 1)]
    (error,) = [message for job, state, message in service.reporter.ended if (job, state) == ("train", "due")]
    assert error is not None
    assert "the training process ended during a task (exit code -9); memory may have run out" in error
    assert as_ofs(service) == [date(2024, 3, 1)]
    service.machine.advance(60)
    service.work(scheduler)
    scheduler.close()
    assert run_rows(service, "train") == [("done", 2)]


@SQLITE
def test_a_full_artifact_folder_fails_only_the_training(database: Database, tmp_path: Path) -> None:
    options = ServiceOptions("2024-03-01T22:30:00Z", ("AAA", "BBB"), {"max_attempts": 2})
    service = make_service(database, tmp_path, walks(), options)
    folder = service.context.settings.artifact_dir
    folder.parent.mkdir(parents=True, exist_ok=True)
    worker = WarmWorker(log=tmp_path / "workers.log")
    service = replace(service, context=replace(service.context, warm=worker))
    scheduler = service.scheduler()
    with small_disk(folder, "256k"):
        service.replay(scheduler, at(5))
        ballast = fill(folder)
        service.replay(scheduler, at(8))
        service.machine.advance(60)
        service.replay(scheduler, at(11))
        assert run_rows(service, "train") == [("done", 1), ("failed", 2)]
        (error,) = [message for job, state, message in service.reporter.ended if (job, state) == ("train", "failed")]
        assert error is not None
        assert "No space left on device; free space or make it writable" in error
        assert as_ofs(service) == [date(2024, 3, day) for day in (1, 4, 5, 6, 7, 8, 11)]
        ballast.unlink()
        service.replay(scheduler, at(19))
        assert run_rows(service, "train")[2:] == [("done", 1)]
    scheduler.close()
    worker.close()


@SQLITE
def test_a_full_database_uses_no_attempt_of_a_run(database: Database, tmp_path: Path) -> None:
    service = make_service(database, tmp_path, walks(), ServiceOptions("2024-03-01T22:30:00Z", ("AAA", "BBB")))
    scheduler = service.scheduler()

    def allow(more: int) -> None:
        with database.engine.connect() as connection:
            pages.append(connection.exec_driver_sql("PRAGMA page_count").scalar_one() + more)
        database.engine.dispose()  # every new connection has this limit

    pages = [1_000_000]
    event.listen(database.engine, "connect", lambda raw, _: raw.execute(f"PRAGMA max_page_count={pages[-1]}"))
    allow(0)  # the rows of a run fit into the existing pages, a year of bars does not
    for _ in range(2 * service.context.settings.max_attempts):
        scheduler.step()
        service.machine.advance(60)
    refused = [error for _, state, error in service.reporter.ended if state == "due"]
    assert len(refused) > service.context.settings.max_attempts
    assert set(refused) == {"database error: database or disk is full"}
    allow(10_000)
    service.work(scheduler)
    scheduler.close()
    assert as_ofs(service) == [date(2024, 3, 1)]
    assert run_rows(service, "pull") == run_rows(service, "forecast") == [("done", 1)]


def test_an_impossible_data_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    url = f"sqlite:///{tmp_path / 'tplus.db'}"
    answer = CommandLine(tmp_path, {"DATA_DIR": str(tmp_path / "file" / "data"), "DATABASE_URL": url}).run(
        "db", "check"
    )
    assert answer.status == 2
    assert answer.sentence.endswith("file/data cannot be created (Not a directory); set TPLUS_DATA_DIR to another one")


def test_machine_time_set_back_an_hour_during_a_forecast(database: Database, tmp_path: Path) -> None:
    service = make_service(database, tmp_path, walks(), ServiceOptions("2024-03-01T22:30:00Z", ("AAA", "BBB")))
    first, second = service.scheduler(), service.scheduler()
    during: list[Any] = []

    def back() -> None:
        service.machine.advance(-3600)
        first._heartbeat.beat()
        during.append(run_rows(service, "forecast"))
        if database.is_sqlite:
            during.append(second.step())
        service.machine.advance(25)
        first._heartbeat.beat()

    service.worker.before = back
    service.work(first)
    assert during == [[("running", 1)], Step.STANDBY][: len(during)]
    assert run_rows(service, "forecast") == [("done", 1)]
    seen = [service.context.market_now()]
    for day in (4, 5, 6):
        service.machine.advance(-3600)
        service.replay(first, at(day))
        seen.append(service.context.market_now())
    first.close()
    second.close()
    assert seen == [at(1), at(4), at(5), at(6)]  # replayed market time never moves back
    assert as_ofs(service) == [date(2024, 3, day) for day in (1, 4, 5, 6)]
    assert [notice for notice in service.reporter.notices if "taken over" in notice] == []


def test_a_live_market_clock_set_back_issues_nothing_twice(database: Database, tmp_path: Path) -> None:
    service = make_service(database, tmp_path, walks(), ServiceOptions("2024-03-01T22:30:00Z", ("AAA", "BBB")))
    service.machine.at = at(1)
    service = replace(service, context=replace(service.context, market=SystemMarketClock(service.machine)))
    scheduler = service.scheduler()
    for instant in (at(1), at(4), at(4, 21), at(1, 22, 45), at(4, 22, 31), at(5), at(5, 22, 29), at(5, 22, 30)):
        service.machine.at = instant
        service.work(scheduler)
    scheduler.close()
    assert as_ofs(service) == [date(2024, 3, day) for day in (1, 4, 5)]
    assert run_rows(service, "forecast") == [("done", 1)] * 3
    with database.reading() as connection:
        issued = list(connection.execute(select(editions.c.issued_at).order_by(editions.c.number)).scalars())
    assert issued == [at(1), at(4), at(5)]
