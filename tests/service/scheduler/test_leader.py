"""The lead: one scheduler has it, another takes over when its lease ends."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, select, text, update

from service.db.change_counters import lock_changes, raise_changes
from service.db.session import Database
from service.db.tables import runs, schedulers
from service.runs import Claimant, PlannedRun, claim, plan
from service.scheduler.leader import acquire_lead, holds_lead, leader, release_lead
from tests.support.command import wait_for
from tests.support.service_factory import ManualClock

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)


def acquire(database: Database, scheduler_id: str, seconds: int = 0) -> bool:
    with database.transaction() as connection:
        return acquire_lead(
            connection, scheduler_id, f"host:{scheduler_id}", ManualClock(NOW + timedelta(seconds=seconds)), LEASE
        )


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


class SlowLock:
    """A machine clock that counts its readings; other schedulers write heartbeats while this one waits."""

    def __init__(self) -> None:
        self.at = NOW
        self.readings = 0

    def now(self, connection: Connection) -> datetime:
        """Return the time and count the reading."""
        self.readings += 1
        return self.at


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("waits_with", ["acquire", "hold"])
def test_the_clock_is_read_once_the_lock_is_held(database: Database, waits_with: str) -> None:
    """A clock read before the wait would be older than the heartbeats written meanwhile, and cut living leases."""
    clock = SlowLock()
    with database.transaction() as connection:
        raise_changes(connection, ())
        acquire_lead(connection, "a", "host:a", clock, LEASE)

    def wait() -> bool:
        with database.transaction() as connection:
            if waits_with == "hold":
                return holds_lead(connection, "a", clock)
            return acquire_lead(connection, "b", "host:b", clock, LEASE)

    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as holder:
            lock_changes(holder)
            before = clock.readings
            waiting = pool.submit(wait)
            query = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = :name")
            name = {"name": database.engine.url.database}

            def is_waiting() -> bool:
                with database.engine.connect() as connection:
                    return bool(connection.execute(query, name).scalar_one())

            wait_for(is_waiting)
            assert clock.readings == before
            clock.at = NOW + timedelta(seconds=25)
            acquire_lead(holder, "a", "host:a", clock, LEASE)
        assert waiting.result(30) is (waits_with == "hold")
    with database.reading() as connection:
        row = connection.execute(select(schedulers).where(schedulers.c.id == "a")).one()
    assert (row.heartbeat_at, row.lease_until) == (NOW + timedelta(seconds=25), NOW + timedelta(seconds=55))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_leases_are_cut_without_waiting_for_a_publish(database: Database) -> None:
    """A publish holds its run's row and waits for the change counter: who holds the counter may not wait for rows."""
    with database.transaction() as connection:
        raise_changes(connection, ())
        plan(connection, [PlannedRun("pull", scope, NOW, NOW.date()) for scope in ("XNYS", "XTKS")])
        for _ in range(2):
            claim(connection, Claimant("a", ("pull",), LEASE), NOW, NOW)
    acquire(database, "a")
    with database.transaction() as publish:
        publish.execute(update(runs).where(runs.c.scope == "XNYS").values(progress=0.5))
        assert not acquire(database, "b", -3600)
    with database.reading() as connection:
        ends = {row.scope: row.lease_until for row in connection.execute(select(runs.c.scope, runs.c.lease_until))}
    assert ends == {"XNYS": NOW + LEASE, "XTKS": NOW + LEASE - timedelta(hours=1)}
