"""Listening for other machines needs a valid key, once the database is there to be read."""

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from service.access.keys import NewKey, create_key, list_keys
from service.access.listening import KeyWatch, check_keys
from service.db.migrate import upgrade
from service.db.session import Database
from service.errors import NoValidKey
from service.settings import Settings
from service.vocabulary import Scope

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
READ = frozenset({Scope.READ})
REFUSED = (
    r"TPLUS_HOST=0\.0\.0\.0 lets other machines reach the API, and the database has no valid key; make one with "
    r"`tplus keys create NAME --scopes read`, or set TPLUS_OPEN_READS=true"
)


def everywhere(database: Database) -> Settings:
    return Settings(host="0.0.0.0", database_url=SecretStr(database.url))


def test_without_a_valid_key_it_is_refused(database: Database) -> None:
    with pytest.raises(NoValidKey, match=REFUSED):
        check_keys(everywhere(database), database)
    with database.transaction() as connection:
        create_key(connection, NewKey("old", READ, NOW - timedelta(days=1)), NOW - timedelta(days=9))
    with pytest.raises(NoValidKey):
        check_keys(everywhere(database), database)
    with database.transaction() as connection:
        create_key(connection, NewKey("notebook", READ), NOW)
    assert check_keys(everywhere(database), database)


@pytest.mark.parametrize("settings", [{}, {"host": "::1"}, {"host": "0.0.0.0", "open_reads": True}])
def test_loopback_and_reads_that_are_open_outright_need_no_key(database: Database, settings: dict[str, object]) -> None:
    assert check_keys(Settings.model_validate(settings), database)


def test_the_key_of_a_file_is_enough(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("tplus_" + "k" * 43)
    settings = everywhere(database).model_copy(update={"api_key_file": file, "api_key_scopes": (Scope.READ,)})
    assert check_keys(settings, database)
    assert check_keys(settings, database)
    with database.reading() as connection:
        assert [(key.name, key.scopes) for key in list_keys(connection)] == [("compose", READ)]


def test_a_database_that_is_not_there_yet_is_checked_when_it_is(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'later.db'}")
    assert not check_keys(everywhere(database), database)
    stopped = threading.Event()
    watch = KeyWatch(everywhere(database), stopped.set, interval=0.05)
    watch.start()
    time.sleep(0.2)
    assert not stopped.is_set()
    upgrade(database)
    assert stopped.wait(10)
    with pytest.raises(NoValidKey, match=REFUSED):
        watch.end()
    database.close()


def test_a_watch_ends_quietly_when_there_is_a_key(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'later.db'}")
    stopped = threading.Event()
    watch = KeyWatch(everywhere(database), stopped.set, interval=0.05)
    upgrade(database, "1006")
    watch.start()
    upgrade(database)
    with database.transaction() as connection:
        create_key(connection, NewKey("notebook", READ), NOW)
    watch.end()
    assert not stopped.is_set()
    database.close()
