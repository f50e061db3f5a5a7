"""Insert-or-update for both databases."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_for(connection: Connection, table: Table) -> Any:
    """Return the dialect's INSERT, which supports ON CONFLICT."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def upsert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]], update: Iterable[str]) -> None:
    """Insert rows; where the primary key exists, set the named columns to the new values.

    Args:
        connection: An open write transaction.
        table: The table; its primary key decides what a conflict is.
        rows: Column name -> value, all with the same keys.
        update: Columns to overwrite; none = keep the old row.
    """
    if not rows:
        return
    statement = insert_for(connection, table)
    keys = list(table.primary_key.columns)
    columns = {name: statement.excluded[name] for name in update}
    if columns:
        statement = statement.on_conflict_do_update(index_elements=keys, set_=columns)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=keys)
    connection.execute(statement, list(rows))
