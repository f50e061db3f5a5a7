"""Raises the change counters, which show readers that an answer may have changed."""

from collections.abc import Iterable

from sqlalchemy import Connection, select

from service.db.tables import change_counters
from service.db.upsert import insert_for, insert_rows

ALL = ""
"""Scope of the global counter, which every change raises."""


def lock_changes(connection: Connection) -> None:
    """Lock the global counter until the caller's write transaction ends.

    On SQLite that is the write transaction itself, on PostgreSQL the counter's row.
    """
    connection.execute(select(change_counters.c.counter).where(change_counters.c.scope == ALL).with_for_update())


def raise_changes(connection: Connection, symbols: Iterable[str]) -> None:
    """Raise the global counter and each symbol's by 1, in the transaction that changes their answers.

    Args:
        connection: An open write transaction.
        symbols: Symbols whose answers change; empty = only the global counter.
    """
    scopes = sorted({ALL, *symbols})  # one order for all writers avoids deadlocks
    statement = insert_for(connection, change_counters)
    statement = statement.on_conflict_do_update(
        index_elements=[change_counters.c.scope],
        set_={"counter": change_counters.c.counter + statement.excluded.counter},
    )
    insert_rows(connection, statement, [{"scope": scope, "counter": 1} for scope in scopes])
