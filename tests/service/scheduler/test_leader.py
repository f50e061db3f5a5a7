"""One scheduler leads; another takes over when its lease ends."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from service.db.session import Database
from service.db.tables import schedulers
from service.scheduler.leader import drop_lead, leader, take_lead

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)


def take(database: Database, me: str, seconds: int = 0) -> bool:
    with database.transaction() as connection:
        return take_lead(connection, me, f"host:{me}", NOW + timedelta(seconds=seconds), LEASE)


def named(database: Database, seconds: int = 0) -> str | None:
    with database.reading() as connection:
        return leader(connection, NOW + timedelta(seconds=seconds))


def tokens(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        return {row.id: row.token for row in connection.execute(select(schedulers))}


def test_the_first_leads_and_the_second_stands_by(database: Database) -> None:
    assert named(database) is None
    assert take(database, "a")
    assert not take(database, "b")
    assert named(database) == "host:a"


def test_keeping_the_lead_prolongs_it_with_the_same_token(database: Database) -> None:
    assert take(database, "a")
    assert take(database, "a", 29)
    assert not take(database, "b", 58)
    assert tokens(database) == {"a": 1, "b": 0}


def test_a_lead_that_ran_out_is_taken_over_with_a_higher_token(database: Database) -> None:
    take(database, "a")
    assert not take(database, "b", 29)
    assert take(database, "b", 30)
    assert not take(database, "a", 31)
    assert named(database, 31) == "host:b"
    assert tokens(database) == {"a": 1, "b": 2}


def test_a_lead_taken_again_after_a_pause_has_a_new_token(database: Database) -> None:
    take(database, "a")
    assert take(database, "a", 31)
    assert tokens(database) == {"a": 2}


def test_a_lead_given_back_is_free_at_once(database: Database) -> None:
    take(database, "a")
    with database.transaction() as connection:
        drop_lead(connection, "a")
    assert named(database) is None
    assert take(database, "b", 1)
