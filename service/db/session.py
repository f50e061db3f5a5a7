"""The two ways to touch the database: read without leaving a trace, or write in one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError

from service.db.engine import WRITE_OPTION, make_engine

_SNAPSHOT = "REPEATABLE READ"

FAULTS = (OperationalError, InternalError)
"""What a database raises that is locked, full, read-only, gone or starting up: later it may be well again.

PostgreSQL tells a database that is read-only as an internal error, all else as an operational one.
"""


def driver_message(error: DBAPIError) -> str:
    """A driver's own words on one line."""
    return " ".join(str(error.orig).split())


def is_unavailable(error: Exception) -> bool:
    """Whether this is a fault of the database as a whole, so that waiting may mend it."""
    # SQLite tells a defect of ours, such as a table that is not there, by the same class of error.
    return isinstance(error, FAULTS) and getattr(error.orig, "sqlite_errorname", None) != "SQLITE_ERROR"


class Database:
    """An engine with its transactions.

    `transaction()` holds the only commit in the source; whatever is raised inside it undoes everything.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: Engine = make_engine(url)
        self._writer = self.engine.execution_options(**{WRITE_OPTION: True})
        # PostgreSQL's default shows each statement what was committed before it, so two of them may not fit together.
        self._reader = self.engine if self.is_sqlite else self.engine.execution_options(isolation_level=_SNAPSHOT)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded default: one active scheduler, the others stand by."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A write transaction: committed when the block ends, rolled back when it raises."""
        with self._writer.connect() as connection:
            with connection.begin() as held:
                yield connection
                held.commit()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent snapshot to read from; rolled back at the end."""
        with self._reader.connect() as connection:
            yield connection
            connection.rollback()

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()
