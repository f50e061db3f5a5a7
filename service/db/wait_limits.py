"""Limits of our own PostgreSQL connections: a stalled process blocks the others for about a lease.

A process that stops inside a transaction keeps its locks. The server ends such a transaction after a lease. A wait for
a lock may take longer than that, so that it ends with the lock and not with an error.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, text

DEFAULT_LEASE_SECONDS = 30.0
"""Lease of a database that is opened without settings; equal to the default of TPLUS_LEASE_SECONDS."""

START_SECONDS = 60.0
"""How long a start waits for another process that migrates or writes; an ordinary write waits less."""

_MIN_STATEMENT = timedelta(minutes=5)
_IDLE = "idle_in_transaction_session_timeout"
_UNSET = ("default", "configuration file")
"""Sources of a server setting that ours replaces; options of the URL, a role or a database have precedence."""


@dataclass(frozen=True, slots=True)
class WaitLimits:
    """Limits of a connection.

    Attributes:
        idle: How long a write transaction may be idle: after it the server ends it.
        lock: How long a statement waits for a lock.
        statement: How long a statement takes.
    """

    idle: timedelta
    lock: timedelta
    statement: timedelta

    @classmethod
    def of_lease(cls, seconds: float) -> "WaitLimits":
        """Return the limits for a lease."""
        lease = timedelta(seconds=seconds)
        return cls(idle=lease, lock=2 * lease, statement=max(_MIN_STATEMENT, 10 * lease))


def prepare_postgres(connection: Any, record: Any, limits: WaitLimits) -> None:
    """Set the limits of a new connection that are not set elsewhere.

    The limit of an idle transaction is only remembered: `limit_idle` sets it for write transactions, because a
    transaction that only reads blocks no other.

    Args:
        connection: The driver's connection.
        record: SQLAlchemy's record of it.
        limits: The limits.
    """
    connection.autocommit = True  # what a transaction sets is undone with it
    with connection.cursor() as cursor:
        wanted = {"lock_timeout": limits.lock, "statement_timeout": limits.statement, _IDLE: limits.idle}
        cursor.execute("SELECT name FROM pg_settings WHERE name = ANY(%s) AND source = ANY(%s)", [
            list(wanted), list(_UNSET)])  # fmt: skip
        unset = {name for (name,) in cursor.fetchall()}
        for name in sorted(unset - {_IDLE}):
            cursor.execute("SELECT set_config(%s, %s, false)", [name, str(_milliseconds(wanted[name]))])
        record.info[_IDLE] = _milliseconds(limits.idle) if _IDLE in unset else None
    connection.autocommit = False


def limit_idle(connection: Connection) -> None:
    """Let the server end this transaction if this process stalls in it."""
    milliseconds = connection.info.get(_IDLE)
    if milliseconds is not None:
        connection.exec_driver_sql(f"SET LOCAL {_IDLE} = {int(milliseconds)}")


def lift_limits(connection: Connection) -> None:
    """Lift every limit until the transaction ends: for migrations and copies, which take as long as they take."""
    if connection.dialect.name == "postgresql":
        for name in ("lock_timeout", "statement_timeout", _IDLE):
            connection.exec_driver_sql(f"SET LOCAL {name} = 0")


def limit_lock_wait(connection: Connection, longest: timedelta) -> None:
    """Limit the wait for locks until the transaction ends; a heartbeat may not wait as long as a lease."""
    if connection.dialect.name == "postgresql":
        statement = text("SELECT set_config('lock_timeout', :milliseconds, true)")
        connection.execute(statement, {"milliseconds": str(_milliseconds(longest))})


def _milliseconds(span: timedelta) -> int:
    return max(1, round(span / timedelta(milliseconds=1)))
