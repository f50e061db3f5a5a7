"""A pull whose lease was taken over during a fetch: its answers are dropped."""

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
    """Walks whose first fetch takes so long that another scheduler takes the pull over."""

    service: Service | None = None

    def fetch(self, symbol: str, start: date | None, at: datetime) -> FetchedPrices:
        """Return the answer of the parent class, after the takeover."""
        if symbol == "AAA" and self.service is not None:
            service, self.service = self.service, None
            now = service.machine.advance(31)  # a lease is 30 s
            with service.database.transaction() as connection:
                taken = claim(connection, Claimant("another", ("pull",), timedelta(seconds=30)), at, now)
            assert taken is not None
        return super().fetch(symbol, start, at)


def interrupted(database: Database, folder: Path, source: SlowWalks) -> Service:
    """Return the service after one step of the scheduler that lost its pull."""
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
    """Return the numbers of stored bars and of outcomes."""
    with database.reading() as connection:
        tables = (bars, run_outcomes)
        stored, outcomes = (connection.execute(select(func.count()).select_from(each)).scalar_one() for each in tables)
    return stored, outcomes


def test_the_lost_pull_stores_no_bar(database: Database, tmp_path: Path) -> None:
    interrupted(database, tmp_path, walks())
    assert count(database) == (0, 0)


def test_the_lost_pull_changes_no_state(database: Database, tmp_path: Path) -> None:
    source = walks()
    for name in NAMES:
        source.errors[name] = UnknownSymbol("no such symbol")
    interrupted(database, tmp_path, source)
    with database.reading() as connection:
        states = connection.execute(select(instruments.c.state).where(instruments.c.active)).scalars().all()
    assert states == ["new", "new"]


def test_the_pull_is_repeated_after_a_second_takeover(database: Database, tmp_path: Path) -> None:
    service = interrupted(database, tmp_path, walks())
    service.machine.advance(31)  # the other worker stops as well
    scheduler = service.scheduler()
    scheduler.step()
    scheduler.close()
    stored, outcomes = count(database)
    assert stored == 2 * 125  # sessions of New York from 1 September 2023 to 1 March 2024
    assert outcomes == 2
