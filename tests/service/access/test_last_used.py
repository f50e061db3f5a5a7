"""When keys were last used: in batches, once a minute, and never in a request's way."""

import logging
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, select

from service.access.keys import NewKey, create_key
from service.access.last_used import LastUsed
from service.db.session import Database
from service.db.tables import api_keys
from service.vocabulary import Scope

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


@pytest.fixture
def ids(database: Database) -> list[int]:
    with database.transaction() as connection:
        return [
            create_key(connection, NewKey(name, frozenset({Scope.READ})), NOW)[0].id for name in ("one", "two", "three")
        ]


def stored(database: Database) -> list[datetime | None]:
    with database.reading() as connection:
        return list(connection.execute(select(api_keys.c.last_used_at).order_by(api_keys.c.id)).scalars())


def test_uses_are_written_in_one_batch_of_the_newest(database: Database, ids: list[int]) -> None:
    commits = []
    event.listen(database.engine, "commit", lambda connection: commits.append(connection))
    written = LastUsed(database, gather_seconds=60)
    for second in range(100):
        written.note(ids[second % 2], NOW + timedelta(seconds=second))
    assert stored(database) == [None, None, None]
    written.close()
    assert stored(database) == [NOW + timedelta(seconds=98), NOW + timedelta(seconds=99), None]
    assert len(commits) == 1


def test_a_key_is_written_once_a_minute_in_each_process_and_over_all(database: Database, ids: list[int]) -> None:
    seconds = [0.0]
    first = LastUsed(database, lambda: seconds[0], gather_seconds=0)
    first.note(ids[0], NOW)
    _end_of(first)
    for later in (1, 59):
        seconds[0] = later
        first.note(ids[0], NOW + timedelta(seconds=later))
        _end_of(first)
    other = LastUsed(database, gather_seconds=0)
    other.note(ids[0], NOW + timedelta(seconds=60))
    _end_of(other)
    assert stored(database)[0] == NOW
    seconds[0] = 61
    first.note(ids[0], NOW + timedelta(seconds=61))
    _end_of(first)
    assert stored(database)[0] == NOW + timedelta(seconds=61)


def test_a_database_that_is_gone_costs_one_line_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gone = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    written = LastUsed(gone, gather_seconds=0)
    with caplog.at_level(logging.WARNING):
        for key in range(3):
            written.note(key, NOW)
            _end_of(written)
    gone.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "no such table: api_keys" in caplog.text


def _end_of(written: LastUsed) -> None:
    """Wait for the thread that writes."""
    for thread in threading.enumerate():
        if thread.name == "last used":
            thread.join(10)
