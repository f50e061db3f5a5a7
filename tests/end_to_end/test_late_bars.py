"""A late bar: waited for, forecast in a further edition, and given up when T opens."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row, select, update

from service.db.session import Database
from service.db.tables import bars, editions, forecasts, run_outcomes, runs
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import Service, ServiceOptions, make_service

FRIDAY, MONDAY = date(2024, 3, 1), date(2024, 3, 4)
LATE = Walk("BBB", date(2023, 9, 1), date(2024, 3, 28), seed=2)


def at(day: int, hour: int, minute: int = 30) -> datetime:
    return datetime(2024, 3, day, hour, minute, tzinfo=UTC)


def rows(service: Service, query: Any) -> list[Row[Any]]:
    with service.database.reading() as connection:
        return list(connection.execute(query).all())


def work(service: Service, moment: datetime) -> None:
    service.move_market(moment)
    scheduler = service.scheduler()
    service.work(scheduler)
    scheduler.close()


def states(service: Service, session: date = FRIDAY) -> dict[str, str]:
    query = select(runs.c.job, runs.c.state).where(runs.c.session == session, runs.c.job != "train")
    return {row.job: row.state for row in rows(service, query)}


@pytest.fixture
def source() -> RecordedWalks:
    """BBB's bar of Friday is still missing."""
    walks = [Walk("AAA", LATE.first, LATE.last, seed=1), replace(LATE, holes=frozenset({FRIDAY}))]
    return RecordedWalks(walks)


@pytest.fixture
def service(database: Database, tmp_path: Path, source: RecordedWalks) -> Service:
    """Friday is final and all possible work is done."""
    made = make_service(database, tmp_path, source, ServiceOptions("2024-03-01T22:30:00Z", ("AAA", "BBB")))
    work(made, at(1, 22))
    return made


def test_the_ready_symbol_is_published_and_the_other_waited_for(service: Service) -> None:
    assert states(service) == {"pull": "waiting", "score": "done", "forecast": "waiting"}
    assert {row.symbol for row in rows(service, select(forecasts.c.symbol))} == {"AAA"}
    assert rows(service, select(runs.c.wait_until).where(runs.c.job == "pull")) == [(at(1, 23),)]


def test_nothing_is_fetched_again_within_an_hour(service: Service, source: RecordedWalks) -> None:
    fetched = len(source.fetched)
    work(service, at(1, 23, 29))
    assert len(source.fetched) == fetched


def test_a_late_bar_is_forecast_in_its_own_edition(service: Service, source: RecordedWalks) -> None:
    source.put(LATE)
    work(service, at(2, 12))
    assert states(service) == {"pull": "done", "score": "done", "forecast": "done"}
    found = rows(service, select(editions.c.number, editions.c.as_of, editions.c.issued_at))
    assert [tuple(row) for row in found] == [(1, FRIDAY, at(1, 22)), (2, FRIDAY, at(2, 12))]
    by_edition = rows(service, select(forecasts.c.edition, forecasts.c.symbol).distinct())
    assert sorted(tuple(row) for row in by_edition) == [(1, "AAA"), (2, "BBB")]


def test_after_t_opens_a_later_bar_changes_nothing(service: Service, source: RecordedWalks) -> None:
    work(service, at(4, 14))
    assert states(service) == {"pull": "done", "score": "done", "forecast": "done"}
    query = select(run_outcomes.c.state, run_outcomes.c.reason).join(runs, runs.c.id == run_outcomes.c.run_id)
    (outcome,) = rows(service, query.where(runs.c.job == "forecast", run_outcomes.c.symbol == "BBB"))
    assert outcome.state == "missed"
    assert outcome.reason == "no bar of 2024-03-01 before T (2024-03-04) opened"
    source.put(LATE)
    work(service, at(4, 22))
    as_ofs = rows(service, select(forecasts.c.symbol, forecasts.c.as_of).distinct())
    assert sorted(tuple(row) for row in as_ofs) == [("AAA", FRIDAY), ("AAA", MONDAY), ("BBB", MONDAY)]


def test_a_bar_corrected_before_t_opens_gives_a_new_revision(service: Service, source: RecordedWalks) -> None:
    """Friday's runs wait for BBB; AAA's Friday bar is corrected meanwhile."""
    with service.database.transaction() as connection:
        friday = (bars.c.symbol == "AAA", bars.c.session == FRIDAY)
        connection.execute(update(bars).where(*friday).values(close=bars.c.close * 1.001, revision=2))
    source.put(LATE)
    work(service, at(1, 23))
    found = rows(service, select(forecasts.c.symbol, forecasts.c.revision, forecasts.c.edition).distinct())
    assert sorted(tuple(row) for row in found) == [("AAA", 1, 1), ("AAA", 2, 2), ("BBB", 1, 2)]
