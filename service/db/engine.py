"""Makes engines for SQLite and PostgreSQL."""

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from service.db.wait_limits import DEFAULT_LEASE_SECONDS, START_SECONDS, WaitLimits, limit_write, prepare_postgres
from service.errors import DatabaseError, SettingsError

WRITE_OPTION = "tplus_write"
START_OPTION = "tplus_start"
_BUSY_MILLISECONDS = 10_000
_PAUSE_SECONDS = 0.02


def make_engine(url: str, lease_seconds: float = DEFAULT_LEASE_SECONDS) -> Engine:
    """Return an engine for a database URL; nothing is opened yet.

    Args:
        url: SQLAlchemy URL, `sqlite:///file` or `postgresql://...`.
        lease_seconds: The schedulers' lease, which the limits of connections follow.

    Raises:
        SettingsError: the URL cannot be read or names another kind of database.
        DatabaseError: the folder of an SQLite file cannot be created.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except ArgumentError as error:
        raise SettingsError(
            "TPLUS_DATABASE_URL is not a database URL; write sqlite:///file.db or postgresql://user@host/name"
        ) from error
    if backend == "sqlite":
        # A `file:` URI names an existing file; as a path it would create a folder called "file:".
        if parsed.database and parsed.database != ":memory:" and not parsed.database.startswith("file:"):
            _make_folder(Path(parsed.database).parent)
        engine = create_engine(parsed, connect_args={"timeout": _BUSY_MILLISECONDS / 1000})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if backend == "postgresql":
        limits = {name: value for name, value in _CONNECTION_LIMITS.items() if name not in parsed.query}
        engine = create_engine(parsed, pool_pre_ping=True, connect_args=limits)
        # Inserts of many rows become statements of many rows. The driver's own way sends rows without waiting for an
        # answer, and no limit of the server ends a process that stalls meanwhile. Upserts: see `insert_rows`.
        engine.dialect.use_insertmanyvalues_wo_returning = True
        waits = WaitLimits.of_lease(lease_seconds)
        event.listen(engine, "connect", lambda connection, record: prepare_postgres(connection, record, waits))
        event.listen(engine, "begin", _begin_postgres)
        return engine
    raise SettingsError(f"TPLUS_DATABASE_URL names a {backend} database; SQLite and PostgreSQL are supported")


def sqlite_file(url: str) -> Path | None:
    """Return the file of an SQLite URL; None for another database or one in memory.

    Raises:
        SettingsError: the URL cannot be read.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SettingsError("TPLUS_DATABASE_URL is not a database URL; write sqlite:///file.db") from error
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    return Path(parsed.database.removeprefix("file:").partition("?")[0])


_CONNECTION_LIMITS = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""Limits after which a silent server counts as gone: about half a minute (seconds; the last in milliseconds).

Without them a heartbeat waits for the system's limits, a quarter of an hour and more. The URL has precedence.
"""


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(
            f"the database's folder {folder} cannot be created ({error.strerror}); "
            "set TPLUS_DATA_DIR or TPLUS_DATABASE_URL"
        ) from error


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # BEGIN is issued explicitly: pysqlite would start a deferred transaction at the first write.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
    _use_write_ahead_log(cursor)
    cursor.execute("PRAGMA synchronous=FULL")  # NORMAL may lose the last publications at a power failure
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _use_write_ahead_log(cursor: Any) -> None:
    """Switch a new file to the write-ahead log, and wait while another process does.

    SQLite does not wait by itself here: two connections that want to switch would wait for each other.
    """
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE_SECONDS)


def is_locked(error: object) -> bool:
    """Return whether SQLite reports that another connection holds a lock."""
    return str(getattr(error, "sqlite_errorname", "")).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that reads first and writes later can fail with "locked" half way.
    options = connection.get_execution_options()
    if not options.get(START_OPTION, False):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(WRITE_OPTION, False) else "BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA busy_timeout={round(START_SECONDS * 1000)}")
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")


def _begin_postgres(connection: Connection) -> None:
    if connection.get_execution_options().get(WRITE_OPTION, False):
        limit_write(connection)
