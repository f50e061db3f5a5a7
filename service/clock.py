"""Reads time, and nothing else does: machine time, and market time, live or replayed.

Machine time (the database's clock) serves leases, heartbeats, retries and limits. Market time serves due
times, as_of and issued_at. With the live clock they are the same; under replay market time is one row of the database.
"""

from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy import Connection, select, text

from service.db.tables import market_clock
from service.errors import DatabaseError

# Built once: building a statement takes longer than sending it.
_MACHINE_NOW = text("SELECT clock_timestamp()")
_MARKET_NOW = select(market_clock.c.now)


class MachineClock(Protocol):
    """Reads machine time inside a transaction."""

    def now(self, connection: Connection) -> datetime:
        """Return aware UTC machine time."""
        ...


class MarketClock(Protocol):
    """Reads market time inside a transaction."""

    def now(self, connection: Connection) -> datetime:
        """Return aware UTC market time."""
        ...


def process_now() -> datetime:
    """Return this process's wall clock, aware UTC: for log lines and for databases without a clock of their own."""
    return datetime.now(UTC)  # noqa: TID251


def instant_text(at: datetime, timespec: str = "seconds") -> str:
    """Return an instant as people and clients read it, `2018-06-01T21:40:00Z`: the year has four digits always."""
    return at.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def minute_text(at: datetime) -> str:
    """Return an instant for one line of output, `2018-06-01 21:40Z`."""
    return instant_text(at, "minutes").replace("T", " ")


class DatabaseClock:
    """Machine time: the server's clock on PostgreSQL, the one host's clock on SQLite."""

    def now(self, connection: Connection) -> datetime:
        """Return aware UTC machine time."""
        if connection.dialect.name == "sqlite":
            return process_now()
        value: datetime = connection.execute(_MACHINE_NOW).scalar_one()
        return value.astimezone(UTC)


class SystemMarketClock:
    """Live market time: equal to machine time."""

    def __init__(self, machine: MachineClock) -> None:
        self._machine = machine

    def now(self, connection: Connection) -> datetime:
        """Return aware UTC market time."""
        return self._machine.now(connection)


class ReplayMarketClock:
    """Replayed market time: one row that the active scheduler moves from event to event."""

    def now(self, connection: Connection) -> datetime:
        """Return aware UTC market time.

        Raises:
            DatabaseError: the row is missing.
        """
        value: datetime | None = connection.execute(_MARKET_NOW).scalar_one_or_none()
        if value is None:
            raise DatabaseError("the database has no market time although its clock is replay; use a new database")
        return value
