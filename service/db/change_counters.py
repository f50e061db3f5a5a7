"""Raises the change counters, which show readers that an answer may have changed."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from service.db.tables import change_counters
from service.db.upsert import answered

ALL = ""
"""Scope of the global counter, which every change raises."""


def _raising(insert: Any) -> Any:
    """Return an INSERT of counters that adds to the stored ones."""
    return insert.on_conflict_do_update(
        index_elements=[change_counters.c.scope],
        set_={"counter": change_counters.c.counter + insert.excluded.counter},
    )


# Built once: building a statement takes longer than sending it.
_LOCK = select(change_counters.c.counter).where(change_counters.c.scope == ALL).with_for_update()
_RAISE = {
    "sqlite": _raising(sqlite.insert(change_counters)),
    "postgresql": answered(_raising(postgresql.insert(change_counters))),
}


def lock_changes(connection: Connection) -> None:
    """Lock the global counter until the caller's write transaction ends.

    On SQLite that is the write transaction itself, on PostgreSQL the counter's row.
    """
    connection.execute(_LOCK)


def raise_changes(connection: Connection, symbols: Iterable[str]) -> None:
    """Raise the global counter and each symbol's by 1, in the transaction that changes their answers.

    Args:
        connection: An open write transaction.
        symbols: Symbols whose answers change; empty = only the global counter.
    """
    scopes = sorted({ALL, *symbols})  # one order for all writers avoids deadlocks
    connection.execute(_RAISE[connection.dialect.name], [{"scope": scope, "counter": 1} for scope in scopes])
