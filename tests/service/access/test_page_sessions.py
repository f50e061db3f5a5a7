"""Page sessions: how long they last, their renewal with its overlap, and signing out."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from service.access.keys import ApiKey, NewKey, create_key, revoke_key, token_hash
from service.access.page_sessions import end_session, find_session, is_session_token, open_session, renew_session
from service.db.session import Database
from service.db.tables import page_sessions
from service.vocabulary import Scope

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


@pytest.fixture
def key(database: Database) -> ApiKey:
    with database.transaction() as connection:
        return create_key(connection, NewKey("notebook", frozenset({Scope.READ})), NOW)[0]


def is_valid(database: Database, token: str, now: datetime) -> bool:
    with database.reading() as connection:
        found = find_session(connection, token)
    return found is not None and found.is_valid(now)


def test_a_session_lasts_twelve_hours_and_only_its_hash_is_stored(database: Database, key: ApiKey) -> None:
    with database.transaction() as connection:
        session, token = open_session(connection, key, NOW)
        row = connection.execute(select(page_sessions)).one()
    assert is_session_token(token)
    assert token not in str(row)
    assert row.sha256 == token_hash(token)
    assert session.expires_at == datetime(2026, 11, 28, 0, 0, tzinfo=UTC)
    assert is_valid(database, token, NOW + 12 * HOUR - SECOND)
    assert not is_valid(database, token, NOW + 12 * HOUR)
    assert not is_valid(database, token + "x", NOW)


def test_a_session_ends_with_its_key(database: Database) -> None:
    with database.transaction() as connection:
        key, _ = create_key(connection, NewKey("short", frozenset({Scope.READ}), NOW + HOUR), NOW)
        session, token = open_session(connection, key, NOW)
    assert session.expires_at == NOW + HOUR
    with database.transaction() as connection:
        revoke_key(connection, key.id, NOW + SECOND)
    assert not is_valid(database, token, NOW + SECOND)


def test_a_session_is_renewed_from_half_way_on_until_its_overlap_ends(database: Database, key: ApiKey) -> None:
    with database.transaction() as connection:
        session, token = open_session(connection, key, NOW)
        assert renew_session(connection, session.id, NOW + 6 * HOUR - SECOND) is None
        renewed = renew_session(connection, session.id, NOW + 6 * HOUR)
        assert renewed is not None
        assert renew_session(connection, renewed[0].id, NOW + 6 * HOUR) is None
        again = renew_session(connection, session.id, NOW + 6 * HOUR + 30 * SECOND)
        assert again is not None  # the first new cookie was lost
        assert renew_session(connection, session.id, NOW + 6 * HOUR + 60 * SECOND) is None
    assert renewed[0].expires_at == NOW + 18 * HOUR
    assert renewed[0].signed_in_at == NOW
    assert is_valid(database, renewed[1], NOW + 17 * HOUR)
    overlap_ends = datetime(2026, 11, 27, 18, 1, tzinfo=UTC)
    assert is_valid(database, token, overlap_ends - SECOND)
    assert not is_valid(database, token, overlap_ends)


def test_renewals_end_a_week_after_the_sign_in(database: Database, key: ApiKey) -> None:
    at, hours = NOW, 0
    with database.transaction() as connection:
        session, _ = open_session(connection, key, NOW)
        while (renewed := renew_session(connection, session.id, at + 6 * HOUR)) is not None:
            session, at, hours = renewed[0], at + 6 * HOUR, hours + 6
            assert hours <= 168
    assert session.expires_at == datetime(2026, 12, 4, 12, 0, tzinfo=UTC)


def test_signing_out_ends_the_session_and_the_one_it_replaced(database: Database, key: ApiKey) -> None:
    at = NOW + 6 * HOUR
    with database.transaction() as connection:
        session, token = open_session(connection, key, NOW)
        other = open_session(connection, key, NOW + SECOND)[1]
        renewed = renew_session(connection, session.id, at)
        assert renewed is not None
        assert end_session(connection, renewed[0].id, at + SECOND)
        assert not end_session(connection, renewed[0].id, at + 2 * SECOND)
        assert not end_session(connection, 999, at)
    assert [is_valid(database, each, at + SECOND) for each in (token, renewed[1], other)] == [False, False, True]


def test_a_key_has_fifty_open_sessions_and_old_rows_are_removed(database: Database, key: ApiKey) -> None:
    with database.transaction() as connection:
        tokens = [open_session(connection, key, NOW + n * SECOND)[1] for n in range(52)]
    after = NOW + 60 * SECOND
    assert [is_valid(database, token, after) for token in tokens] == [False] * 2 + [True] * 50
    with database.transaction() as connection:
        open_session(connection, key, NOW + 48 * HOUR)
        assert connection.execute(select(func.count()).select_from(page_sessions)).scalar_one() == 1
