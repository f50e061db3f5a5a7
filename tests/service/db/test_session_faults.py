"""Messages of a full or read-only database, or one of another version; nothing of a step is then written."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from service.api.common.errors import database_fault
from service.app import create_app
from service.db.migrate import require_head, upgrade
from service.db.revision import HEAD
from service.db.session import FAULTS, Database, driver_message
from service.db.tables import audit, runs, schedulers
from service.errors import DatabaseError
from service.runs import JOBS, Claimant, PlannedRun, claim, guard, plan
from service.scheduler.leader import acquire_lead
from service.settings import Settings
from tests.support.api.client import TestClient
from tests.support.paths import ROOT
from tests.support.service_factory import ManualClock

AT = datetime(2024, 3, 1, 22, 30, tzinfo=UTC)
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def write(database: Database, lines: int) -> None:
    """Write some rows of a kilobyte each, in one transaction."""
    line = {"at": AT, "actor": "test", "action": "write", "subject": "disk", "detail": {"why": "z" * 1000}}
    with database.transaction() as connection:
        for _ in range(lines):
            connection.execute(audit.insert().values(line))


def count(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(audit)).scalar_one())


@SQLITE
def test_a_full_database_rolls_the_step_back_and_accepts_the_next(database: Database) -> None:
    write(database, 3)
    with database.engine.connect() as connection:  # the pool reuses the connection
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 4}")
    with pytest.raises(FAULTS) as caught:
        write(database, 100)
    assert driver_message(caught.value) == "database or disk is full"
    assert count(database) == 3
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=100000")
    write(database, 100)
    assert count(database) == 103


def test_a_file_size_limit_is_one_sentence_of_a_real_command(tmp_path: Path) -> None:
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)); from service.cli import main; main()"
    )
    root = ROOT
    plain = {name: value for name, value in os.environ.items() if not name.startswith("TPLUS_")}
    environment = plain | {"PYTHONPATH": str(root), "TPLUS_DATA_DIR": str(tmp_path), "TPLUS_SYMBOLS": "FB"}
    command = [sys.executable, "-c", code, "forecast"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("tplus: ")]
    assert "cannot be opened: " in sentence
    assert sentence.endswith("check the path or URL and the free space on its disk")


@SQLITE
def test_a_read_only_database_can_only_be_read(database: Database, tmp_path: Path) -> None:
    write(database, 2)
    database.close()
    shared = Database(f"sqlite:///file:{tmp_path / 'test.db'}?mode=ro&uri=true")
    with pytest.raises(FAULTS) as caught:
        write(shared, 1)
    assert driver_message(caught.value) == "attempt to write a readonly database"
    assert count(shared) == 2
    assert database_fault(shared) is None
    shared.close()


@POSTGRESQL
def test_a_read_only_postgresql_is_a_temporary_fault(database: Database) -> None:
    write(database, 2)
    name = database.engine.url.database
    with database.transaction() as connection:
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    database.engine.dispose()  # as after a failover: new sessions find it read-only
    with pytest.raises(FAULTS) as caught:
        write(database, 1)
    assert driver_message(caught.value) == "cannot execute INSERT in a read-only transaction"
    assert count(database) == 2
    with database.engine.connect() as connection:
        connection.execute(text("SET default_transaction_read_only = off"))
        connection.commit()
        connection.execute(text(f"ALTER DATABASE {name} RESET default_transaction_read_only"))
        connection.commit()
    database.engine.dispose()
    write(database, 1)
    assert count(database) == 3


@pytest.fixture
def newer(database: Database) -> Iterator[Database]:
    """A database that a newer version has migrated."""
    with database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9001'"))
    yield database
    with database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": HEAD})


def test_every_part_refuses_a_database_of_a_newer_version(newer: Database, tmp_path: Path) -> None:
    words = f"is at migration 9001, this version knows up to {HEAD}; install the newer Tplus again"
    with pytest.raises(DatabaseError, match=words):
        upgrade(newer)
    with newer.reading() as connection, pytest.raises(DatabaseError, match=words):
        require_head(connection, "here")
    with TestClient(create_app(Settings(data_dir=tmp_path), newer)) as client:
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert "db upgrade" not in answer.json()["detail"]  # a newer version is refused


def test_the_error_of_an_older_or_empty_database_names_the_command(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '1001'"))
    with database.reading() as connection, pytest.raises(DatabaseError, match=r"at migration 1001.*`tplus db upgrade`"):
        require_head(connection, "here")
    with database.transaction() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
    with database.reading() as connection, pytest.raises(DatabaseError, match="here has no tables yet"):
        require_head(connection, "here")
    with database.transaction() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    with database.reading() as connection, pytest.raises(DatabaseError, match=r"here has no tables yet.*db upgrade"):
        require_head(connection, "here")


@POSTGRESQL
def test_a_closed_connection_does_not_count_as_an_empty_database(database: Database) -> None:
    with database.engine.connect() as connection:
        process = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with database.transaction() as other:
            other.exec_driver_sql(f"SELECT pg_terminate_backend({process})")
        with pytest.raises(FAULTS, match="terminating connection"):
            require_head(connection, "here")


def take(database: Database, me: str, now: datetime) -> bool:
    with database.transaction() as connection:
        return acquire_lead(connection, me, me, ManualClock(now), LEASE)


def claimed(database: Database, me: str, now: datetime) -> bool:
    with database.transaction() as connection:
        run = claim(connection, Claimant(me, JOBS, LEASE), AT, now)
        if run is not None:
            guard(connection, run)
        return run is not None


def test_leases_of_a_dead_scheduler_expire_in_one_lease_after_the_clock_moved_back(database: Database) -> None:
    with database.transaction() as connection:
        plan(connection, [PlannedRun("pull", "XNYS", AT, AT.date())])
    assert take(database, "dead", NOON)
    assert claimed(database, "dead", NOON)
    hour_before = NOON - timedelta(hours=1)
    assert not take(database, "heir", hour_before)  # the other may be alive: it has one lease to send a heartbeat
    assert not claimed(database, "heir", hour_before)
    assert not take(database, "heir", hour_before + LEASE - timedelta(seconds=1))
    assert take(database, "heir", hour_before + LEASE)
    assert claimed(database, "heir", hour_before + LEASE)
    with database.reading() as connection:
        assert connection.execute(select(runs.c.owner, runs.c.attempt, runs.c.token)).one() == ("heir", 1, 2)


def test_a_running_scheduler_keeps_lead_and_token_after_the_clock_moved_back(database: Database) -> None:
    assert take(database, "mine", NOON)
    hour_before = NOON - timedelta(hours=1)
    assert not take(database, "other", hour_before)
    assert take(database, "mine", hour_before + timedelta(seconds=10))
    assert not take(database, "other", hour_before + timedelta(seconds=39))
    with database.reading() as connection:
        query = select(schedulers.c.token, schedulers.c.lease_until).where(schedulers.c.id == "mine")
        assert tuple(connection.execute(query).one()) == (1, datetime(2030, 1, 1, 11, 0, 40, tzinfo=UTC))


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="a read-only mount needs root on Linux")
def test_a_folder_that_is_mounted_read_only(tmp_path: Path, migrated_file: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copyfile(migrated_file, folder / "test.db")
    mount = subprocess.run(["mount", "--bind", folder, folder], check=False, capture_output=True)
    if mount.returncode:
        pytest.skip("this machine allows no mount")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        database = Database(f"sqlite:///{folder / 'test.db'}")
        with pytest.raises(DatabaseError) as caught:
            upgrade(database)
        assert "test.db cannot be opened: " in str(caught.value)
        with TestClient(create_app(Settings(data_dir=folder), database)) as client:
            answer = client.get("/v1/forecasts/AAPL")
            assert answer.status_code == 503
            assert "\n" not in answer.json()["detail"]
        database.close()
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
