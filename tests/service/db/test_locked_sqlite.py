"""An SQLite file that another process holds: a start waits for it, and then says so."""

import sqlite3
import threading
from pathlib import Path

import pytest

from service.db import engine
from service.db.migrate import current_revision, upgrade
from service.db.revision import HEAD
from service.db.session import FAULTS, Database, driver_message, is_wait
from service.db.tables import change_counters
from service.db.wait_limits import START_SECONDS
from service.errors import DatabaseError


def holding(path: Path) -> sqlite3.Connection:
    """Hold a file that does not use the write-ahead log yet, as another process does while it switches it."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    return connection


def test_a_start_waits_while_another_process_holds_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    holder, database = holding(path), Database(f"sqlite:///{path}")
    starting = threading.Thread(target=upgrade, args=(database,))
    starting.start()
    starting.join(0.3)
    assert starting.is_alive()
    holder.execute("ROLLBACK")
    holder.close()
    starting.join(60)
    with database.reading() as connection:
        assert current_revision(connection) == HEAD
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
    database.close()


@pytest.mark.parametrize("is_new", [True, False])
def test_a_file_that_stays_locked_is_reported_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_new: bool
) -> None:
    monkeypatch.setattr(engine, "START_SECONDS", 0.05)
    monkeypatch.setattr(engine, "_BUSY_MILLISECONDS", 10)
    path = tmp_path / "held.db"
    database = Database(f"sqlite:///{path}")
    if not is_new:
        upgrade(database)
    holder = holding(path)
    with pytest.raises(DatabaseError) as caught:
        upgrade(database)
    assert str(caught.value) == (
        f"the database sqlite:///{path} cannot be opened: database is locked: another process holds it; "
        "wait until it has finished, or stop it"
    )
    holder.close()
    database.close()


def test_a_write_waits_ten_seconds_and_a_start_longer(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new.db'}")
    for at_start in (False, True, False):
        with database.transaction(at_start=at_start) as connection:
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 10_000
    assert START_SECONDS == 60
    database.close()


def test_a_write_that_finds_the_file_locked_says_who_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_BUSY_MILLISECONDS", 10)
    path = tmp_path / "held.db"
    database = Database(f"sqlite:///{path}")
    upgrade(database)
    holder = holding(path)
    with pytest.raises(FAULTS) as caught, database.transaction() as connection:
        connection.execute(change_counters.insert().values(scope="AAA", counter=1))
    assert driver_message(caught.value) == (
        "database is locked: another process holds it; wait until it has finished, or stop it"
    )
    assert is_wait(caught.value)
    holder.close()
    database.close()


def test_a_file_without_access_is_no_wait(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("x" * 4096)
    database = Database(f"sqlite:///{path}")
    with pytest.raises(DatabaseError, match=r"file is not a database; check the path or URL"):
        upgrade(database)
    database.close()
