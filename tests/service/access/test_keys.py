"""API keys: their tokens, their hashes, and when they are accepted."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from service.access.keys import NewKey, check_name, create_key, find_key, list_keys, revoke_key, rotate_key, token_hash
from service.db.session import Database
from service.db.tables import api_keys
from service.errors import NotFound, TplusError
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


@pytest.mark.parametrize("name", ["a", "notebook", "Night-ly.job_2", "x" * 60])
def test_a_name_is_accepted(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", "9lives", "x" * 61, "a b", "a\nb", "a\x00", "é", "=HYPERLINK(1)", "@a", "<b>", "Compose", "anonymous"]
)
def test_a_name_is_refused(name: str) -> None:
    with pytest.raises(TplusError, match=r"cannot name a key|is reserved"):
        check_name(name)


def test_a_rotated_key_is_accepted_during_the_overlap_and_never_longer_than_before(database: Database) -> None:
    hour = timedelta(hours=1)
    with database.transaction() as connection:
        first, first_token = create_key(connection, NewKey("notebook", READ, NOW + 2 * hour), NOW)
        second, second_token = rotate_key(connection, "notebook", hour, None, NOW)
        third, _ = rotate_key(connection, "notebook", 24 * hour, NOW + 9 * hour, NOW)
        found = [find_key(connection, token) for token in (first_token, second_token)]
        with pytest.raises(NotFound):
            rotate_key(connection, "other", hour, None, NOW)
    assert [key.expires_at for key in found if key is not None] == [NOW + hour, NOW + 2 * hour]
    assert (second.expires_at, second.scopes, third.expires_at) == (NOW + 2 * hour, READ, NOW + 9 * hour)
    assert first.id < second.id < third.id


def test_a_key_that_is_rotated_again_during_its_overlap_lasts_no_longer(database: Database) -> None:
    hour = timedelta(hours=1)
    with database.transaction() as connection:
        create_key(connection, NewKey("notebook", READ, NOW + 2 * hour), NOW)
        rotate_key(connection, "notebook", hour, None, NOW)
        third, _ = rotate_key(connection, "notebook", hour, None, NOW + hour / 2)
    assert third.expires_at == NOW + 2.5 * hour
