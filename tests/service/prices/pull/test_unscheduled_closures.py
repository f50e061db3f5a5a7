"""A session without a bar on one exchange while another has its own: closed, told once, and opened again by a bar."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row, insert, select

from service.db.session import Database
from service.db.tables import change_counters, forecasts, quarantine, run_outcomes, runs, scores, sessions
from service.market.exchange_calendar import get_calendar
from service.market.instruments import list_instruments
from service.market.sessions import closed_sessions
from service.prices.pull.fetcher import PullContext, pull_symbols
from service.prices.sources.base import Transient
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import Service, ServiceOptions, make_service

TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (date(2024, 3, day) for day in (5, 6, 7, 8))
FIRST, LAST = date(2023, 9, 1), date(2024, 3, 28)
GONE = frozenset({WEDNESDAY})
LONDON = Walk("AAA.L", FIRST, LAST, "XLON", holes=GONE, seed=1)
SECOND = Walk("BBB.L", FIRST, LAST, "XLON", holes=GONE, seed=2)
NEW_YORK = Walk("NYC", FIRST, LAST, seed=3)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2024, 3, day, hour, minute, tzinfo=UTC)


class Place:
    """A service over some walks, from Tuesday's final instant in London on."""

    def __init__(self, database: Database, folder: Path, *walks: Walk) -> None:
        self.source = RecordedWalks(walks)
        wanted = ServiceOptions("2024-03-05T18:00:00Z", tuple(walk.symbol for walk in walks))
        self.service: Service = make_service(database, folder, self.source, wanted)
        self.scheduler = self.service.scheduler()

    def until(self, moment: datetime) -> None:
        self.service.replay(self.scheduler, moment)

    def closed(self) -> list[tuple[str, date]]:
        query = select(sessions.c.calendar, sessions.c.session).where(sessions.c.state == "closed")
        return [(row.calendar, row.session) for row in self.rows(query.order_by(sessions.c.session))]

    def rows(self, query: Any) -> list[Row[Any]]:
        with self.service.database.reading() as connection:
            return list(connection.execute(query).all())

    def told(self) -> list[str]:
        return [notice for notice in self.service.reporter.notices if "counts as closed" in notice]


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Place:
    """Two symbols of London without Wednesday, one of New York with it."""
    return Place(database, tmp_path, LONDON, SECOND, NEW_YORK)


def test_it_is_judged_when_the_next_session_opens_and_told_once(place: Place) -> None:
    place.until(at(6, 22, 30))
    assert place.closed() == []
    before = place.rows(select(change_counters.c.counter).where(change_counters.c.scope == "AAA.L"))
    place.until(at(7, 8))  # Thursday's open in London
    assert place.closed() == [("XLON", WEDNESDAY)]
    assert place.rows(select(change_counters.c.counter).where(change_counters.c.scope == "AAA.L")) != before
    place.until(at(8, 22, 30))
    assert place.closed() == [("XLON", WEDNESDAY)]
    assert len(place.told()) == 1
    assert place.told()[0].startswith("XLON: no symbol has a bar of 2024-03-06 while other exchanges have theirs")


def test_forecasts_aimed_at_it_are_void_and_the_next_ones_step_over_it(place: Place) -> None:
    place.until(at(8, 18))
    aimed = (
        select(scores.c.state, scores.c.reason)
        .join(forecasts, forecasts.c.id == scores.c.forecast_id)
        .where(forecasts.c.symbol == "AAA.L", forecasts.c.target_session == WEDNESDAY)
    )
    assert {tuple(row) for row in place.rows(aimed)} == {("void", "session 2024-03-06 was closed")}
    mine = select(forecasts.c.as_of, forecasts.c.target_session).where(
        forecasts.c.symbol == "AAA.L", forecasts.c.strategy == "multi_step", forecasts.c.as_of > TUESDAY
    )
    found = sorted({(row.as_of.day, row.target_session.day) for row in place.rows(mine)})
    assert found == [(7, 8), (7, 11), (7, 12), (8, 11), (8, 12), (8, 13)]


def test_the_forecast_run_of_a_closed_session_says_why_it_gave_none(place: Place) -> None:
    place.until(at(7, 8))
    query = select(run_outcomes.c.state, run_outcomes.c.reason).join(runs, runs.c.id == run_outcomes.c.run_id)
    wanted = query.where(runs.c.job == "forecast", runs.c.session == WEDNESDAY, runs.c.scope == "XLON")
    assert {tuple(row) for row in place.rows(wanted)} == {
        ("missed", "session 2024-03-06 was closed; the next forecast is due "
                   "2024-03-07T18:00:00Z"),
    }  # fmt: skip


def test_a_bar_that_comes_later_opens_it_again(place: Place) -> None:
    place.until(at(8, 18))
    place.source.put(replace(LONDON, holes=frozenset()))
    place.until(at(11, 18))
    assert place.closed() == []
    newest = (
        select(scores.c.state)
        .join(forecasts, forecasts.c.id == scores.c.forecast_id)
        .where(forecasts.c.symbol == "AAA.L", forecasts.c.target_session == WEDNESDAY, scores.c.revision == 2)
    )
    assert {row.state for row in place.rows(newest)} == {"scored"}
    place.until(at(12, 18))
    assert place.closed() == [], "a bar of one symbol is enough"


def test_every_reader_of_the_exchange_learns_that_it_is_open_again(place: Place) -> None:
    place.until(at(8, 18))
    place.source.put(replace(LONDON, holes=frozenset()))
    counter = select(change_counters.c.counter).where(change_counters.c.scope == "BBB.L")
    before = place.rows(counter)[0].counter
    context = place.service.context
    with place.service.database.reading() as connection:
        mine = list_instruments(connection, ["AAA.L"])
    ingest = PullContext(context.database, context.source, context.settings, get_calendar)
    assert [outcome.state for outcome in pull_symbols(ingest, mine, FRIDAY, at(8, 19))] == ["ok"]
    assert place.closed() == []
    assert place.rows(counter)[0].counter == before + 1


def test_a_single_symbol_waits_for_a_bar_on_the_other_side(database: Database, tmp_path: Path) -> None:
    place = Place(database, tmp_path, LONDON, NEW_YORK)
    place.until(at(7, 8))
    assert place.closed() == []
    place.until(at(7, 18))
    assert place.closed() == [("XLON", WEDNESDAY)]


def test_one_exchange_alone_is_never_judged(database: Database, tmp_path: Path) -> None:
    place = Place(database, tmp_path, LONDON, SECOND)
    place.until(at(11, 18))
    assert place.closed() == []


def test_a_date_that_nobody_has_says_nothing(database: Database, tmp_path: Path) -> None:
    place = Place(database, tmp_path, LONDON, SECOND, replace(NEW_YORK, holes=GONE))
    place.until(at(11, 18))
    assert place.closed() == []


def test_a_symbol_with_its_bar_keeps_the_session_open(database: Database, tmp_path: Path) -> None:
    place = Place(database, tmp_path, LONDON, replace(SECOND, holes=frozenset()), NEW_YORK)
    place.until(at(11, 18))
    assert place.closed() == []


def test_a_source_that_fails_is_no_closure(place: Place) -> None:
    failed = Transient("the source took too long")
    place.source.errors.update({"AAA.L": failed, "BBB.L": failed})
    place.service.move_market(at(7, 14, 30))
    for _ in range(8):
        place.service.work(place.scheduler)
        place.service.machine.advance(3600)
    assert place.closed() == []


def test_a_doubted_row_shows_that_it_was_open(place: Place) -> None:
    with place.service.database.transaction() as connection:
        connection.execute(
            insert(quarantine).values(
                symbol="BBB.L", session=WEDNESDAY, row={}, reason="the close is not positive", state="refused",
                first_seen_at=at(6, 18), last_seen_at=at(6, 18),
            )
        )  # fmt: skip
    place.until(at(11, 18))
    assert place.closed() == []


def test_a_record_that_ends_closes_five_sessions_and_no_more(database: Database, tmp_path: Path) -> None:
    ended = (replace(LONDON, last=TUESDAY), replace(SECOND, last=TUESDAY))
    place = Place(database, tmp_path, *ended, NEW_YORK)
    place.until(at(20, 18))
    assert [day.day for _, day in place.closed()] == [6, 7, 8, 11, 12]


def test_closed_sessions_are_read_by_calendar_from_a_date_on(place: Place) -> None:
    place.until(at(7, 8))
    with place.service.database.reading() as connection:
        assert closed_sessions(connection, WEDNESDAY) == {"XLON": frozenset({WEDNESDAY})}
        assert closed_sessions(connection, THURSDAY) == {}
