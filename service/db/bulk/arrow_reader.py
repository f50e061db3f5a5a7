"""Reads many rows as Arrow batches, without a Python object per value: a quarter of the driver's time.

ADBC has connections of its own. A read must see what its caller's transaction sees: PostgreSQL passes the snapshot
on; on SQLite the change counters of both connections are compared. Where that fails, the caller reads by the driver.
"""

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection, Select, select

from service.db.change_counters import ALL
from service.db.tables import change_counters

if TYPE_CHECKING:  # some processes never read that many rows: they do not load Arrow
    import pyarrow as pa

Taken = TypeVar("Taken")
Take = Callable[[Iterator["pa.RecordBatch"]], Taken]

_log = logging.getLogger(__name__)

MIN_ARROW_ROWS = 50_000
"""Rows from which on a second connection and the import of Arrow pay."""

MIN_SQLITE_ROWS = 300_000
"""The same for SQLite, which is read in a process of its own."""

_ROOT = Path(__file__).resolve().parents[3]
_SLOWER = "bars are read by the slower driver, because ADBC failed (%s)"


def pays_by_arrow(connection: Connection, rows: int) -> bool:
    """Return whether a read of so many rows is faster by `read_arrow` than by the driver."""
    return rows >= (MIN_SQLITE_ROWS if connection.dialect.name == "sqlite" else MIN_ARROW_ROWS)


def read_arrow(connection: Connection, query: Select[Any], take: Take[Taken]) -> Taken | None:
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
    if connection.dialect.name == "sqlite":
        return _read_sqlite(connection, query, take)
    return _read_postgres(connection, query, take)


def statement_of(connection: Connection, query: Select[Any]) -> str:
    """Return a query as text with its values, for a driver that takes no parameters."""
    # By this paramstyle nothing is escaped for a driver's own formatting.
    dialect_type: Any = type(connection.dialect)
    dialect = dialect_type(paramstyle="named")
    return str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def _read_sqlite(connection: Connection, query: Select[Any], take: Take[Taken]) -> Taken | None:
    """Read by `sqlite_child`, which says why it is a process of its own."""
    from pyarrow import ArrowInvalid, ipc

    from service.db.bulk.sqlite_child import OTHER_STATE

    # An empty name: the database is in memory.
    file = next(row[2] for row in connection.exec_driver_sql("PRAGMA database_list") if row[1] == "main")
    if not file:
        return None
    counter = select(change_counters.c.counter).where(change_counters.c.scope == ALL)
    request = {
        "file": file,
        "counter": statement_of(connection, counter),
        "expected": connection.execute(counter).scalar_one_or_none(),
        "query": statement_of(connection, query),
    }
    command = [sys.executable, "-m", "service.db.bulk.sqlite_child"]
    pipe, silent = subprocess.PIPE, subprocess.DEVNULL
    taken: Taken | None = None
    try:
        with subprocess.Popen(command, cwd=_ROOT, stdin=pipe, stdout=pipe, stderr=silent) as process:
            assert process.stdin is not None
            try:
                process.stdin.write(json.dumps(request).encode())
                process.stdin.close()
                taken = take(iter(ipc.open_stream(process.stdout)))
            except (ArrowInvalid, BrokenPipeError):
                taken = None  # it has ended early; its status says why
            except BaseException:
                process.kill()
                raise
    except OSError as error:
        _log.warning(_SLOWER, error.strerror)
        return None
    # A stream that ends too early looks whole.
    if process.returncode:
        if process.returncode != OTHER_STATE:
            _log.warning(_SLOWER, f"its process ended with status {process.returncode}")
        return None
    return taken


def _read_postgres(connection: Connection, query: Select[Any], take: Take[Taken]) -> Taken | None:
    """Read by a second connection with a transaction of the same snapshot."""
    from adbc_driver_manager import Error
    from adbc_driver_postgresql import dbapi

    limit = connection.exec_driver_sql("SHOW statement_timeout").scalar_one()
    snapshot = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
    # The driver's own parameters: also those of the environment and of a service file, and the limits of a silent
    # server. A URL of SQLAlchemy is not always one of libpq.
    own: Any = connection.connection.driver_connection
    parameters = own.info.get_parameters() | ({"password": own.info.password} if own.info.password else {})
    try:
        with (
            dbapi.connect(make_conninfo("", **parameters), autocommit=True) as other,
            other.cursor() as cursor,
        ):
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
            cursor.execute(f"SET LOCAL statement_timeout = '{limit}'")
            cursor.execute(statement_of(connection, query))
            return take(iter(cursor.fetch_record_batch()))
    except Error as error:
        # Its text may repeat the address with its password.
        _log.warning(_SLOWER, type(error).__name__)
        return None
