"""Access to the database: read a snapshot, or write in one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError

from service.db.engine import WRITE_OPTION, make_engine

_SNAPSHOT = "REPEATABLE READ"

FAULTS = (OperationalError, InternalError)
"""Errors of a database that is locked, full, read-only, unreachable or starting up: a retry may succeed.

PostgreSQL reports a read-only database as an internal error, the others as operational errors.
"""


def driver_message(error: DBAPIError) -> str:
    """Return a driver's message on one line."""
    return " ".join(str(error.orig).split())


def is_unavailable(error: Exception) -> bool:
    """Return whether the database as a whole failed, so that a retry may succeed."""
    # SQLite uses the same class of error for defects such as a missing table.
    return isinstance(error, FAULTS) and getattr(error.orig, "sqlite_errorname", None) != "SQLITE_ERROR"


class Database:
    """An engine with its transactions.

    `transaction()` has the only commit in the source; an exception inside it rolls everything back.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: Engine = make_engine(url)
        self._writer = self.engine.execution_options(**{WRITE_OPTION: True})
        # PostgreSQL's default isolation shows each statement the commits before it: two reads may be inconsistent.
        self._reader = self.engine if self.is_sqlite else self.engine.execution_options(isolation_level=_SNAPSHOT)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded default: one active scheduler, the others on standby."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a write transaction: committed at the end of the block, rolled back on an exception."""
        with self._writer.connect() as connection:
            with connection.begin() as transaction:
                yield connection
                transaction.commit()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a consistent snapshot for reading; rolled back at the end."""
        with self._reader.connect() as connection:
            yield connection
            connection.rollback()

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()
