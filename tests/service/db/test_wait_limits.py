"""Limits of our PostgreSQL connections: who stalls inside a transaction is ended, and the others go on."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, event, func, insert, select, text

from service.db.change_counters import lock_changes, raise_changes
from service.db.session import FAULTS, Database, driver_message, is_unavailable, is_wait
from service.db.tables import change_counters
from service.db.upsert import upsert
from service.db.wait_limits import WaitLimits, lift_limits, limit_lock_wait
from service.scheduler.leader import acquire_lead
from tests.support.service_factory import ManualClock

NAMES = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")


def opened(url: str, lease_seconds: float) -> Database:
    """A database whose change counter exists, because a row that is not there cannot be locked."""
    database = Database(url, lease_seconds)
    with database.transaction() as connection:
        raise_changes(connection, ())
    return database


@pytest.fixture
def quick(postgres_url: str) -> Iterator[Database]:
    """A database whose lease is a fifth of a second."""
    database = opened(postgres_url, 0.2)
    yield database
    database.close()


def limits(connection: Connection) -> tuple[str, ...]:
    return tuple(connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in NAMES)


def test_limits_follow_the_lease() -> None:
    minute = timedelta(minutes=1)
    assert WaitLimits.of_lease(30) == WaitLimits(timedelta(seconds=30), minute, 5 * minute, minute)
    assert WaitLimits.of_lease(60) == WaitLimits(minute, 2 * minute, 10 * minute, 2 * minute)
    assert WaitLimits.of_lease(2).write == timedelta(seconds=10)


def test_a_write_has_every_limit_and_a_read_may_be_idle(postgres_url: str) -> None:
    database = Database(postgres_url, 20)
    with database.transaction() as connection:
        assert limits(connection) == ("40s", "40s", "20s")
    with database.reading() as connection:
        assert limits(connection) == ("40s", "5min", "0")
    with database.transaction() as connection:
        lift_limits(connection)
        assert limits(connection) == ("0", "0", "0")
    with database.transaction() as connection:
        limit_lock_wait(connection, timedelta(seconds=5))
        assert limits(connection) == ("5s", "40s", "20s")
    database.close()


def test_options_of_the_url_have_precedence(postgres_url: str) -> None:
    options = "-c%20lock_timeout%3D7s%20-c%20idle_in_transaction_session_timeout%3D9s"
    database = Database(f"{postgres_url}{'&' if '?' in postgres_url else '?'}options={options}", 20)
    with database.transaction() as connection:
        assert limits(connection) == ("7s", "40s", "9s")
    database.close()


def test_options_of_the_database_have_precedence(postgres_url: str) -> None:
    database = Database(postgres_url, 20)
    name = database.engine.url.database
    with database.transaction() as connection:
        connection.execute(text(f"ALTER DATABASE {name} SET statement_timeout = '3s'"))
    database.close()
    again = Database(postgres_url, 20)
    with again.transaction() as connection:
        assert limits(connection) == ("40s", "3s", "20s")
    again.close()


def test_a_process_that_stalls_in_a_transaction_is_ended_and_the_others_go_on(quick: Database) -> None:

    def stall() -> None:
        with quick.transaction() as stalled:
            lock_changes(stalled)
            with quick.transaction() as other:  # waits until the server has ended the stalled one
                raise_changes(other, ["AAA"])
            stalled.execute(text("SELECT 1"))

    with pytest.raises(FAULTS) as caught:
        stall()
    assert driver_message(caught.value).startswith(
        "the database ended a transaction in which this process did nothing for longer than "
        "idle_in_transaction_session_timeout: the process was stalled ("
    )
    assert "idle-in-transaction timeout" in driver_message(caught.value)
    assert is_unavailable(caught.value), "the run would use an attempt"
    with quick.transaction() as again:
        raise_changes(again, ["AAA"])


def test_a_lock_that_is_held_for_too_long_ends_the_wait_with_a_sentence(postgres_url: str) -> None:
    holder, waiter = opened(postgres_url, 30), Database(postgres_url, 0.05)
    with holder.transaction() as held:
        lock_changes(held)
        with pytest.raises(FAULTS) as caught, waiter.transaction() as connection:
            lock_changes(connection)
    assert driver_message(caught.value).startswith(
        "another process held a lock of the database for longer than lock_timeout (canceling statement"
    )
    assert is_wait(caught.value)
    assert is_unavailable(caught.value)
    holder.close()
    waiter.close()


def test_a_statement_that_takes_too_long_ends_with_a_sentence(postgres_url: str) -> None:
    database = Database(postgres_url)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 20")
        with pytest.raises(FAULTS) as caught:
            connection.exec_driver_sql("SELECT pg_sleep(30)")
    assert driver_message(caught.value).startswith(
        "the database stopped a statement, because it took longer than statement_timeout or was cancelled ("
    )
    database.close()


def test_a_read_may_be_idle_for_longer_than_a_lease(quick: Database) -> None:
    with quick.reading() as reading:
        reading.execute(text("SELECT 1"))
        with quick.transaction() as writing:
            writing.execute(text("SELECT pg_sleep(0.4)"))
        assert reading.execute(text("SELECT 1")).scalar_one() == 1


def test_a_lead_is_not_waited_for_as_long_as_a_lease(postgres_url: str) -> None:
    """The heartbeat gives up early: it may not hold up the heartbeats of runs."""
    database = opened(postgres_url, 30)
    clock, lease = ManualClock(), timedelta(seconds=30)
    with database.transaction() as held:
        lock_changes(held)
        with database.engine.connect() as connection:
            limit_lock_wait(connection, timedelta(milliseconds=20))
            with pytest.raises(FAULTS, match="lock timeout"):
                acquire_lead(connection, "a", "host:a", clock, lease)
    database.close()


def test_the_rows_of_an_insert_are_sent_in_few_statements(postgres_url: str) -> None:
    """The driver's pipeline has no answer until its end, so that no limit of the server applies within it."""
    database = opened(postgres_url, 30)
    sent: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *values: sent.append(values[2]))
    with database.transaction() as connection:
        rows = [{"scope": f"S{number}", "counter": 1} for number in range(1500)]
        connection.execute(insert(change_counters), rows)
    assert len(sent) == 3  # the limits of the transaction, then 1000 and 500 rows
    with database.reading() as connection:
        found = connection.execute(select(func.count(), func.sum(change_counters.c.counter)))
        assert tuple(found.one()) == (1501, 1501)
    database.close()


def test_the_rows_of_an_upsert_are_sent_in_few_statements(postgres_url: str) -> None:
    database = opened(postgres_url, 30)
    rows = [{"scope": f"S{number}", "counter": number} for number in range(1500)]
    sent: list[tuple[str, bool]] = []

    def note(*values: Any) -> None:
        sent.append((values[2][:6], isinstance(values[3], list)))  # a list has the parameters of a pipeline

    event.listen(database.engine, "before_cursor_execute", note)
    for _ in range(2):
        with database.transaction() as connection:
            upsert(connection, change_counters, [*rows, {"scope": "S7", "counter": 70}], ("counter",))
            raise_changes(connection, ["S7", "S8"])
    # limits of the transaction, 1000 and 500 rows, the counters of all and of two symbols
    assert sent == [("SET LO", False), ("INSERT", False), ("INSERT", False), ("INSERT", False)] * 2
    with database.reading() as connection:
        query = select(change_counters.c.scope, change_counters.c.counter).where(
            change_counters.c.scope.in_(["", "S7", "S8", "S1499"])
        )
        found = {scope: counter for scope, counter in connection.execute(query)}
    assert found == {"": 3, "S7": 71, "S8": 9, "S1499": 1499}
    database.close()


def test_a_stall_in_a_copy_is_ended(postgres_url: str) -> None:
    database = opened(postgres_url, 30)

    def stall() -> None:
        with database.transaction() as connection:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 50")
            driver = connection.connection.driver_connection
            assert driver is not None
            with driver.cursor().copy("COPY change_counters (scope, counter) FROM STDIN") as rows:
                rows.write_row(("AAA", 1))
                with database.transaction() as other:
                    other.execute(text("SELECT pg_sleep(0.3)"))

    with pytest.raises(psycopg.errors.QueryCanceled):
        stall()
    database.close()
