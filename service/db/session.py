"""Access to the database: read a snapshot, or write in one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError

from service.db.engine import START_OPTION, WRITE_OPTION, is_locked, make_engine
from service.db.wait_limits import DEFAULT_LEASE_SECONDS

_SNAPSHOT = "REPEATABLE READ"

FAULTS = (OperationalError, InternalError)
"""Errors of a database that is locked, full, read-only, unreachable or starting up: a retry may succeed.

PostgreSQL reports a read-only database as an internal error, the others as operational errors.
"""


_WAITS = {
    "55P03": "another process held a lock of the database for longer than lock_timeout",
    "57014": "the database stopped a statement, because it took longer than statement_timeout or was cancelled",
    "25P03": (
        "the database ended a transaction in which this process did nothing for longer than "
        "idle_in_transaction_session_timeout: the process was stalled"
    ),
    "40P01": "two processes waited for each other's locks, and the database ended one of them",
}
"""What happened, by PostgreSQL's code of the error."""

HELD = "another process holds it; wait until it has finished, or stop it"
"""What to do about a locked SQLite file."""


def driver_message(error: DBAPIError) -> str:
    """Return a driver's message on one line; a wait that ended is explained."""
    message = " ".join(str(error.orig).split())
    if is_locked(error.orig):
        return f"{message}: {HELD}"
    waited = _WAITS.get(getattr(error.orig, "sqlstate", None) or "")
    return message if waited is None else f"{waited} ({message})"


def is_wait(error: DBAPIError) -> bool:
    """Return whether a statement failed because of other processes, not of the database or its disk."""
    return is_locked(error.orig) or (getattr(error.orig, "sqlstate", None) or "") in _WAITS


def is_unavailable(error: Exception) -> bool:
    """Return whether the database as a whole failed, so that a retry may succeed."""
    # SQLite uses the same class of error for defects such as a missing table.
    return isinstance(error, FAULTS) and getattr(error.orig, "sqlite_errorname", None) != "SQLITE_ERROR"


class Database:
    """An engine with its transactions.

    `transaction()` has the only commit in the source; an exception inside it rolls everything back.

    Args:
        url: SQLAlchemy URL.
        lease_seconds: The schedulers' lease: on PostgreSQL a stalled process blocks the others for about as long.
    """

    def __init__(self, url: str, lease_seconds: float = DEFAULT_LEASE_SECONDS) -> None:
        self.url = url
        self.engine: Engine = make_engine(url, lease_seconds)
        self._writer = self.engine.execution_options(**{WRITE_OPTION: True})
        self._starter = self.engine.execution_options(**{WRITE_OPTION: True, START_OPTION: True})
        # PostgreSQL's default isolation shows each statement the commits before it: two reads may be inconsistent.
        self._reader = self.engine if self.is_sqlite else self.engine.execution_options(isolation_level=_SNAPSHOT)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded default: one active scheduler, the others on standby."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def transaction(self, *, at_start: bool = False) -> Iterator[Connection]:
        """Open a write transaction: committed at the end of the block, rolled back on an exception.

        Args:
            at_start: Wait for a locked SQLite file as long as another process may take to migrate it.
        """
        with (self._starter if at_start else self._writer).connect() as connection:
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


def display_url(database: Database) -> str:
    """Return the database's URL without its password, which may also be a parameter."""
    url = database.engine.url
    secrets = [name for name in url.query if "password" in name.lower()]
    return url.difference_update_query(secrets).render_as_string(hide_password=True)
