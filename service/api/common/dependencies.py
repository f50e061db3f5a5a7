"""What a route is handed: a consistent snapshot of the database and the market time in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from sqlalchemy import Connection, select

from service.api.common.errors import BadParameter
from service.clock import DatabaseClock, MarketClock, ReplayMarketClock, SystemMarketClock
from service.db.session import Database
from service.db.tables import stamp
from service.errors import NotYet
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent view of the database.

    Attributes:
        connection: Open for reading; its block ends it.
        now: Aware UTC market time.
    """

    connection: Connection
    now: datetime

    def known_at(self, asked: datetime | None) -> datetime:
        """The instant to answer for: the one asked for, else now.

        Raises:
            BadParameter: it lies after market time.
        """
        if asked is not None and asked > self.now:
            raise BadParameter(
                "known_at",
                f"lies after market time, {self.now:%Y-%m-%dT%H:%M:%SZ}: nobody knows that yet; ask for an earlier "
                "instant or leave it out",
            )
        return self.now if asked is None else asked


class Reader:
    """Opens snapshots. A route opens its own, in its own thread.

    A dependency that held the connection would wait for a worker thread while other workers wait for its
    connection, and under load both would wait for good.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """A snapshot, for the length of a block.

        Raises:
            NotYet: nobody has set the database up.
        """
        with self.database.reading() as connection:
            yield Snapshot(connection, self._clock(connection).now(connection))

    def _clock(self, connection: Connection) -> MarketClock:
        # Asked each time: a database may be made anew, for the other clock too, while this process runs.
        mode: str | None = connection.execute(select(stamp.c.clock_mode)).scalar_one_or_none()
        if mode is None:
            raise NotYet("the database holds nothing yet; start the service with `tplus up` or `tplus schedule`")
        return ReplayMarketClock() if mode == "replay" else SystemMarketClock(DatabaseClock())


async def _reader(request: Request) -> Reader:
    reader: Reader = request.app.state.reader
    return reader


ReaderDependency = Annotated[Reader, Depends(_reader)]


def _query_names(dependant: Dependant) -> list[str]:
    """Names of the query parameters of a route and of everything it depends on."""
    names = [field.alias for field in dependant.query_params]
    return names + [name for each in dependant.dependencies for name in _query_names(each)]


async def only_known_parameters(request: Request) -> None:
    """Refuse a query parameter that the route does not have, or that comes twice: unfiltered data would be a lie.

    Raises:
        BadParameter: see above.
    """
    known = _query_names(request.scope["route"].dependant)
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            offered = f"it takes {', '.join(known)}" if known else "it takes none"
            raise BadParameter(name[:40], f"Unknown parameter: {name[:40]}; {offered}", is_whole=True)
        if given.count(name) > 1:
            raise BadParameter(name, "is given more than once; give it once")
