"""Insert-or-update for both databases."""

from collections.abc import Iterable, Mapping, Sequence
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
        rows: Column name -> value, all with the same keys; the last one counts where two have one primary key.
        update: Columns to overwrite; none = keep the old row.
    """
    statement = insert_for(connection, table)
    keys = list(table.primary_key.columns)
    columns = {name: statement.excluded[name] for name in update}
    if columns:
        statement = statement.on_conflict_do_update(index_elements=keys, set_=columns)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=keys)
    by_key = {tuple(row[column.name] for column in keys): row for row in rows}
    insert_rows(connection, statement, list(by_key.values()))


def insert_rows(connection: Connection, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute an INSERT with ON CONFLICT for many rows, in statements of many rows each.

    Args:
        connection: An open write transaction.
        statement: The statement; what it sets refers to the table and to `excluded` alone.
        rows: Column name -> value, no two of one key; nothing is done without any.
    """
    if not rows:
        return
    connection.execute(answered(statement) if connection.dialect.name == "postgresql" else statement, rows)


def answered(statement: Any) -> Any:
    """Return an INSERT for PostgreSQL that answers the keys of its rows.

    Without an answer to fetch, the driver would send row after row and wait for the server at the end alone: no limit
    of the server ends a process that stalls meanwhile.
    """
    return statement.returning(*statement.table.primary_key.columns)
