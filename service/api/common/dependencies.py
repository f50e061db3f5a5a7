"""Dependencies of the routes: a consistent snapshot of the database with its market time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from sqlalchemy import Connection, select

from service.api.common.errors import BadParameter
from service.api.limits.work import cancellable
from service.clock import DatabaseClock, MachineClock, MarketClock, ReplayMarketClock, SystemMarketClock, instant_text
from service.db.session import Database
from service.db.tables import stamp
from service.errors import NotYet
from service.settings import Settings

_CLOCK_MODE = select(stamp.c.clock_mode)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent view of the database.

    Attributes:
        connection: Open for reading until the end of the block.
        now: Aware UTC market time.
    """

    connection: Connection
    now: datetime

    def known_at(self, requested: datetime | None) -> datetime:
        """Return the requested instant, else now.

        Raises:
            BadParameter: it is after market time.
        """
        if requested is not None and requested > self.now:
            raise BadParameter(
                "known_at",
                f"is after market time, {instant_text(self.now)}; use an earlier instant or omit it",
            )
        return self.now if requested is None else requested


@dataclass(frozen=True, slots=True)
class Writing:
    """An open write transaction of a route.

    Attributes:
        connection: Committed at the end of the block.
        market_now: Aware UTC market time.
        machine_now: Aware UTC machine time.
    """

    connection: Connection
    market_now: datetime
    machine_now: datetime


class Reader:
    """Opens snapshots, and the short transactions of routes that write. A route opens its own, in its own thread.

    A dependency that held the connection would wait for a worker thread while other workers wait for its connection:
    under load, a deadlock.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.machine: MachineClock = DatabaseClock()

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Open a snapshot for a block.

        Raises:
            NotYet: the database is not set up.
        """
        with self.database.reading() as connection, cancellable(connection):
            yield Snapshot(connection, self._clock(connection).now(connection))

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """Open a write transaction for a block; the API writes control tables alone.

        Raises:
            NotYet: the database is not set up.
        """
        with self.database.transaction() as connection:
            yield Writing(connection, self._clock(connection).now(connection), self.machine.now(connection))

    def _clock(self, connection: Connection) -> MarketClock:
        # Read each time: a database may be replaced while this process runs, also by one for the other clock.
        mode: str | None = connection.execute(_CLOCK_MODE).scalar_one_or_none()
        if mode is None:
            raise NotYet("the database is empty; start the service with `tplus up` or `tplus schedule`")
        return ReplayMarketClock() if mode == "replay" else SystemMarketClock(self.machine)


async def _reader(request: Request) -> Reader:
    reader: Reader = request.app.state.reader
    return reader


ReaderDependency = Annotated[Reader, Depends(_reader)]


def _query_names(dependant: Dependant) -> list[str]:
    """Return the names of the query parameters of a route and its dependencies."""
    names = [field.alias for field in dependant.query_params]
    return names + [name for inner in dependant.dependencies for name in _query_names(inner)]


async def only_known_parameters(request: Request) -> None:
    """Refuse a query parameter that the route does not have, or that is given twice.

    Ignoring it would return unfiltered data.

    Raises:
        BadParameter: there is one.
    """
    names = _query_names(request.scope["route"].dependant)
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in names:
            accepted = f"it takes {', '.join(names)}" if names else "it takes none"
            raise BadParameter(name[:40], f"Unknown parameter: {name[:40]}; {accepted}", is_whole=True)
        if given.count(name) > 1:
            raise BadParameter(name, "is given more than once; give it once")
