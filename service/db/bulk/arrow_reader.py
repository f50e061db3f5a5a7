"""Reads many rows as Arrow batches, without a Python object per value: a quarter of the driver's time.

ADBC has connections of its own. A read must see what its caller's transaction sees: PostgreSQL passes the snapshot
on; on SQLite the change counters of both connections are compared. Where that fails, the caller reads by the driver.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Select, select

from service.db.change_counters import ALL
from service.db.tables import change_counters

if TYPE_CHECKING:  # some processes never read that many rows: they do not load Arrow
    import pyarrow as pa

Taken = TypeVar("Taken")

_log = logging.getLogger(__name__)

MIN_ARROW_ROWS = 50_000
"""Rows from which on a second connection and the import of Arrow pay."""

_SQLITE_BATCH_ROWS = 16_384


def read_arrow(
    connection: Connection, query: Select[Any], take: Callable[[Iterator["pa.RecordBatch"]], Taken]
) -> Taken | None:
    """Read the rows of a query as Arrow batches, in the state that a transaction sees.

    A column of SQLite has the type of its first values, so a number that may be null needs a default in the query.

    Args:
        connection: An open transaction of `Database.reading`, without changes of its own.
        query: The rows; its values are written into the statement.
        take: Takes the batches, one after another.

    Returns:
        What `take` returned. None if no second connection sees this state (it is in memory, or another process has
        just committed) or ADBC failed: then read by `connection`, whose errors callers know.
    """
    from adbc_driver_manager import Error

    try:
        with ExitStack() as stack:
            open_other = _open_sqlite if connection.dialect.name == "sqlite" else _open_postgres
            other = open_other(connection, stack)
            if other is None:
                return None
            cursor = stack.enter_context(other.cursor(adbc_stmt_kwargs=_options(connection)))
            cursor.execute(statement_of(connection, query))
            return take(iter(cursor.fetch_record_batch()))
    except Error as error:
        # Its text may repeat the address with its password.
        _log.warning("bars are read by the slower driver, because ADBC failed (%s)", type(error).__name__)
        return None


def statement_of(connection: Connection, query: Select[Any]) -> str:
    """Return a query as text with its values, for a driver that takes no parameters."""
    # By this paramstyle nothing is escaped for a driver's own formatting.
    dialect_type: Any = type(connection.dialect)
    dialect = dialect_type(paramstyle="named")
    return str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def _options(connection: Connection) -> Mapping[str, Any]:
    if connection.dialect.name == "sqlite":
        return {"adbc.sqlite.query.batch_rows": _SQLITE_BATCH_ROWS}
    return {}


def _open_sqlite(connection: Connection, stack: ExitStack) -> Any:
    """Return a connection with a read transaction in the same state; None if there is none."""
    from adbc_driver_sqlite import dbapi

    # An empty name: the database is in memory.
    file = next(row[2] for row in connection.exec_driver_sql("PRAGMA database_list") if row[1] == "main")
    if not file:
        return None
    counter = select(change_counters.c.counter).where(change_counters.c.scope == ALL)
    mine = connection.execute(counter).scalar_one_or_none()
    other = stack.enter_context(dbapi.connect(Path(file).as_uri() + "?mode=ro", autocommit=True))
    with other.cursor() as cursor:
        cursor.execute("BEGIN")
        # The first read fixes the state that the transaction sees.
        cursor.execute(statement_of(connection, counter))
        found = cursor.fetchone()
    return other if (None if found is None else found[0]) == mine else None


def _open_postgres(connection: Connection, stack: ExitStack) -> Any:
    """Return a connection with a transaction of the same snapshot."""
    from adbc_driver_postgresql import dbapi

    url = connection.engine.url.set(drivername="postgresql")
    snapshot = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
    other = stack.enter_context(dbapi.connect(url.render_as_string(hide_password=False), autocommit=True))
    with other.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
    return other
