"""The lead: one scheduler has it, another takes over when its lease ends."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from service.db.session import Database
from service.db.tables import schedulers
from service.scheduler.leader import acquire_lead, leader, release_lead

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)


def acquire(database: Database, scheduler_id: str, seconds: int = 0) -> bool:
    with database.transaction() as connection:
        return acquire_lead(connection, scheduler_id, f"host:{scheduler_id}", NOW + timedelta(seconds=seconds), LEASE)


def leader_name(database: Database, seconds: int = 0) -> str | None:
    with database.reading() as connection:
        return leader(connection, NOW + timedelta(seconds=seconds))


def tokens(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        return {row.id: row.token for row in connection.execute(select(schedulers))}


def test_the_first_scheduler_leads_and_the_second_is_on_standby(database: Database) -> None:
    assert leader_name(database) is None
    assert acquire(database, "a")
    assert not acquire(database, "b")
    assert leader_name(database) == "host:a"


def test_the_leader_extends_its_lease_with_the_same_token(database: Database) -> None:
    assert acquire(database, "a")
    assert acquire(database, "a", 29)
    assert not acquire(database, "b", 58)
    assert tokens(database) == {"a": 1, "b": 0}


def test_an_expired_lead_is_taken_over_with_a_higher_token(database: Database) -> None:
    acquire(database, "a")
    assert not acquire(database, "b", 29)
    assert acquire(database, "b", 30)
    assert not acquire(database, "a", 31)
    assert leader_name(database, 31) == "host:b"
    assert tokens(database) == {"a": 1, "b": 2}


def test_a_lead_acquired_again_after_its_expiry_has_a_new_token(database: Database) -> None:
    acquire(database, "a")
    assert acquire(database, "a", 31)
    assert tokens(database) == {"a": 2}


def test_a_released_lead_can_be_acquired_immediately(database: Database) -> None:
    acquire(database, "a")
    with database.transaction() as connection:
        release_lead(connection, "a")
    assert leader_name(database) is None
    assert acquire(database, "b", 1)
