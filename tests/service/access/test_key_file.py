"""The key of a secret file: stored once, replaced by a new token, never revived."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from service.access.key_file import read_token, store_key_file
from service.access.keys import NewKey, create_key, find_key, list_keys, revoke_key
from service.db.session import Database
from service.db.tables import audit
from service.errors import SettingsError
from service.vocabulary import Scope

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
FIRST, SECOND = "tplus_" + "a" * 43, "tplus_" + "B-_9" * 10 + "xyz"
ALL, READ = frozenset(Scope), frozenset({Scope.READ})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "api_key"
    file.write_text(FIRST + "\n")
    return file


def actions(database: Database) -> list[tuple[str, str]]:
    with database.reading() as connection:
        return [(row.action, row.actor) for row in connection.execute(select(audit).order_by(audit.c.id))]


def test_the_key_is_stored_once(database: Database, path: Path) -> None:
    for _ in range(3):
        with database.transaction() as connection:
            store_key_file(connection, path, ALL, NOW)
    with database.reading() as connection:
        (key,) = list_keys(connection)
        assert find_key(connection, FIRST) == key
    assert (key.name, key.scopes, key.is_valid(NOW)) == ("compose", ALL, True)
    assert actions(database) == [("keys.create", "TPLUS_API_KEY_FILE")]


def test_a_new_token_replaces_the_old_one_and_no_other_key(database: Database, path: Path) -> None:
    with database.transaction() as connection:
        own = create_key(connection, NewKey("notebook", READ), NOW)[0]
        store_key_file(connection, path, ALL, NOW)
    path.write_text(SECOND)
    with database.transaction() as connection:
        store_key_file(connection, path, ALL, NOW)
        valid = [key.id for key in list_keys(connection) if key.is_valid(NOW)]
    assert valid == [own.id, own.id + 2]
    assert [action for action, _ in actions(database)] == ["keys.create", "keys.revoke", "keys.create"]


def test_other_scopes_change_the_key(database: Database, path: Path) -> None:
    with database.transaction() as connection:
        store_key_file(connection, path, ALL, NOW)
        store_key_file(connection, path, READ, NOW)
        (key,) = list_keys(connection)
    assert key.scopes == READ
    assert [action for action, _ in actions(database)] == ["keys.create", "keys.change"]


def test_a_revoked_key_is_not_revived(database: Database, path: Path) -> None:
    with database.transaction() as connection:
        key = store_key_file(connection, path, ALL, NOW)
        revoke_key(connection, key.id, NOW)
        with pytest.raises(SettingsError, match=r"holds the revoked key compose \(id 1\); write a new one into it"):
            store_key_file(connection, path, ALL, NOW)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "does not hold a key"),
        (b"password", "does not hold a key"),
        (FIRST.encode() + b"a", "does not hold a key"),
        (FIRST.encode() + b"\n" + SECOND.encode(), "does not hold a key"),
        (b"\xff\xfe", "it is not text"),
    ],
)
def test_another_content_is_refused_and_not_repeated(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=words) as raised:
        read_token(path)
    assert not content or content.decode("latin-1") not in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone cannot be read \(No such file"):
        read_token(tmp_path / "gone")
