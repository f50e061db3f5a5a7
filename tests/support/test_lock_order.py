"""The check of the lock order finds a broken order."""

import pytest
from sqlalchemy import text

from service.db.change_counters import lock_changes, raise_changes
from service.db.session import Database
from service.runs import guard
from tests.service.test_runs import claimed, plan, planned
from tests.support.lock_order import COUNTER, MIGRATIONS, ROW, RUN, LockOrder, kind_of

POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT pg_advisory_xact_lock(%(a)s::BIGINT) AS x", MIGRATIONS),
        ("UPDATE runs SET token=%(token)s WHERE runs.id = 1", RUN),
        ("SELECT runs.id \nFROM runs \nWHERE runs.id = 1 FOR UPDATE", RUN),
        ("INSERT INTO runs (job) VALUES (%(job)s)", ROW),
        ("SELECT change_counters.counter \nFROM change_counters \nWHERE scope = '' FOR UPDATE", COUNTER),
        ("INSERT INTO change_counters (scope) VALUES ('')", COUNTER),
        ("UPDATE instruments SET active=false", ROW),
        ("DELETE FROM scores", ROW),
        ("SELECT 1", None),
        ("SELECT runs.id FROM runs", None),
    ],
)
def test_the_lock_of_a_statement(statement: str, kind: int | None) -> None:
    assert kind_of(statement) == kind


@POSTGRESQL
def test_the_counter_before_the_run_is_a_fault(database: Database, lock_order: LockOrder) -> None:
    plan(database, planned("pull"))
    run = claimed(database)
    before = lock_order.transactions
    with database.transaction() as connection:
        connection.info["lock_order"] = set()
        lock_changes(connection)
        guard(connection, run)
    assert lock_order.transactions == before + 1
    (fault,) = lock_order.faults
    assert fault.startswith("a run's row was locked after the change counter: UPDATE runs SET")
    lock_order.faults.clear()


@POSTGRESQL
def test_rows_that_are_not_waited_for_have_no_place(database: Database, lock_order: LockOrder) -> None:
    plan(database, planned("pull"))
    run = claimed(database)
    before = lock_order.transactions
    with database.transaction() as connection:
        connection.info["lock_order"] = set()
        raise_changes(connection, ())
        connection.execute(text("SELECT id FROM runs FOR UPDATE SKIP LOCKED"))
        guard(connection, run)
    assert lock_order.faults == []
    assert lock_order.transactions == before + 1
