"""The change counters: readers learn from them that an answer may have altered."""

from collections.abc import Iterable

from sqlalchemy import Connection, select

from service.db.tables import change_counters
from service.db.upsert import insert_for

ALL = ""
"""Scope of the one counter that every change raises."""


def lock_changes(connection: Connection) -> None:
    """Let no other writer raise the one counter until the caller's write transaction ends.

    On SQLite that is the write transaction itself, on PostgreSQL the counter's row.
    """
    connection.execute(select(change_counters.c.counter).where(change_counters.c.scope == ALL).with_for_update())


def raise_changes(connection: Connection, symbols: Iterable[str]) -> None:
    """Raise the one counter and each symbol's by 1, inside the transaction that alters their answers.

    Args:
        connection: An open write transaction.
        symbols: Symbols whose answers alter; none = only the one counter.
    """
    scopes = sorted({ALL, *symbols})  # one order for all writers, so that two of them cannot lock each other out
    statement = insert_for(connection, change_counters)
    statement = statement.on_conflict_do_update(
        index_elements=[change_counters.c.scope],
        set_={"counter": change_counters.c.counter + statement.excluded.counter},
    )
    connection.execute(statement, [{"scope": scope, "counter": 1} for scope in scopes])
