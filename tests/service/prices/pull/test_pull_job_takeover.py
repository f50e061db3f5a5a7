"""A pull whose lease was taken over while it asked the vendor: what it brings home is thrown away."""

from datetime import date, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select

from service.db.session import Database
from service.db.tables import bars, instruments, run_outcomes, runs
from service.prices.sources.base import FetchedPrices, UnknownSymbol
from service.runs import Claimant, claim
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import Service, ServiceOptions, make_service

NAMES = ("AAA", "BBB")


class SlowWalks(RecordedWalks):
    """Walks of which the first is asked for so long that another scheduler takes the pull over meanwhile."""

    service: Service | None = None

    def fetch(self, symbol: str, start: date | None, at: datetime) -> FetchedPrices:
        """As the parent's, after the takeover."""
        if symbol == "AAA" and self.service is not None:
            service, self.service = self.service, None
            now = service.machine.advance(31)  # a lease is 30 s
            with service.database.transaction() as connection:
                taken = claim(connection, Claimant("another", ("pull",), timedelta(seconds=30)), at, now)
            assert taken is not None
        return super().fetch(symbol, start, at)


def interrupted(database: Database, folder: Path, source: SlowWalks) -> Service:
    """The service after one turn of the scheduler that lost its pull."""
    service = make_service(database, folder, source, ServiceOptions("2024-03-01T22:30:00Z", NAMES))
    source.service = service
    scheduler = service.scheduler()
    scheduler.step()
    scheduler.close()
    assert "was taken over by another worker" in service.reporter.notices[-1]
    with database.reading() as connection:
        row = connection.execute(select(runs).where(runs.c.job == "pull")).one()
    assert (row.state, row.owner, row.token) == ("running", "another", 2)
    return service


def walks() -> SlowWalks:
    return SlowWalks([Walk(name, date(2023, 9, 1), date(2024, 3, 6), seed=1) for name in NAMES])


def count(database: Database) -> tuple[int, int]:
    """Stored bars and outcomes."""
    with database.reading() as connection:
        tables = (bars, run_outcomes)
        stored, told = (connection.execute(select(func.count()).select_from(one)).scalar_one() for one in tables)
    return stored, told


def test_it_stores_no_bar(database: Database, tmp_path: Path) -> None:
    interrupted(database, tmp_path, walks())
    assert count(database) == (0, 0)


def test_it_marks_no_symbol(database: Database, tmp_path: Path) -> None:
    source = walks()
    for name in NAMES:
        source.errors[name] = UnknownSymbol("no such symbol")
    interrupted(database, tmp_path, source)
    with database.reading() as connection:
        states = connection.execute(select(instruments.c.state).where(instruments.c.active)).scalars().all()
    assert states == ["new", "new"]


def test_whoever_took_it_over_pulls_it_again(database: Database, tmp_path: Path) -> None:
    service = interrupted(database, tmp_path, walks())
    service.machine.advance(31)  # the other one dies as well
    scheduler = service.scheduler()
    scheduler.step()
    scheduler.close()
    stored, told = count(database)
    assert stored == 2 * 125  # sessions of New York from 1 September 2023 to 1 March 2024
    assert told == 2
