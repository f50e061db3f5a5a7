"""API keys: their tokens, their hashes, and when they are accepted."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from service.access.keys import NewKey, create_key, find_key, list_keys, revoke_key, token_hash
from service.db.session import Database
from service.db.tables import api_keys
from service.vocabulary import Scope

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
READ = frozenset({Scope.READ})


def test_a_token_has_a_prefix_and_256_bits_and_only_its_hash_is_stored(database: Database) -> None:
    with database.transaction() as connection:
        key, token = create_key(connection, NewKey("notebook", READ), NOW)
        other = create_key(connection, NewKey("notebook", READ), NOW)[1]
        row = connection.execute(select(api_keys).where(api_keys.c.id == key.id)).one()
    assert re.fullmatch(r"tplus_[A-Za-z0-9_-]{43}", token)
    assert token != other
    assert token not in str(row)
    assert row.prefix == token[:12]
    assert row.sha256 == token_hash(token)


def test_the_hash_is_the_sha256() -> None:
    assert token_hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_key_is_found_by_its_token_alone(database: Database) -> None:
    with database.transaction() as connection:
        key, token = create_key(connection, NewKey("notebook", READ), NOW)
        assert find_key(connection, token) == key
        assert find_key(connection, token + "x") is None
        assert find_key(connection, token_hash(token)) is None
        assert list_keys(connection) == [key]


@pytest.mark.parametrize(("seconds", "valid"), [(59, True), (60, False), (61, False)])
def test_a_key_is_refused_from_its_end_on(database: Database, seconds: int, valid: bool) -> None:
    with database.transaction() as connection:
        key, _ = create_key(connection, NewKey("notebook", READ, NOW + timedelta(minutes=1)), NOW)
    assert key.is_valid(NOW + timedelta(seconds=seconds)) is valid


def test_a_key_is_revoked_once(database: Database) -> None:
    with database.transaction() as connection:
        key, token = create_key(connection, NewKey("notebook", READ), NOW)
        assert revoke_key(connection, key.id, NOW)
        assert not revoke_key(connection, key.id, NOW + timedelta(hours=1))
        assert not revoke_key(connection, key.id + 1, NOW)
        revoked = find_key(connection, token)
    assert revoked is not None
    assert revoked.revoked_at == NOW
    assert not revoked.is_valid(NOW)
