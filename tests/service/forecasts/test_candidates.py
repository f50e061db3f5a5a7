"""Candidates: the symbols that may be forecast, and those already published."""

from dataclasses import replace
from datetime import date

from sqlalchemy import update

from models.config import Strategy
from service.db.tables import instruments
from service.forecasts.candidates import Candidate, read_candidates
from service.forecasts.ledger import publish
from tests.support.forecast_factory import NOON, Desk, History, Said, draft_of

AS_OF, T = date(2018, 5, 31), date(2018, 6, 1)


def candidates(desk: Desk, calendar: str = "XNYS", as_of: date = AS_OF) -> tuple[Candidate, ...]:
    with desk.database.reading() as connection:
        return read_candidates(connection, calendar, as_of)


def publish_forecasts(desk: Desk, *given: Said) -> None:
    with desk.database.transaction() as connection:
        publish(connection, draft_of(*given), NOON, NOON)


def test_candidates_are_the_active_symbols_of_the_calendar_in_order(desk: Desk) -> None:
    desk.add(History("BBB", AS_OF, [10.0, 11.0], group="crypto"))
    desk.add(History("AAA", AS_OF, [20.0, None]))
    desk.add(History("OFF", AS_OF, [1.0], active=False))
    desk.add(History("7203.T", AS_OF, [1.0], calendar="XTKS"))
    desk.add(History("GONE", AS_OF, [1.0]))
    with desk.database.transaction() as connection:
        connection.execute(update(instruments).where(instruments.c.symbol == "GONE").values(state="unknown"))
    assert candidates(desk) == (
        Candidate("AAA", "equity", "ok", None, 1, None, 0, None),
        Candidate("BBB", "crypto", "ok", None, 1, 11.0, 0, None),
    )
    assert [candidate.symbol for candidate in candidates(desk, "XTKS")] == ["7203.T"]


def test_nothing_is_published_before_the_first_edition(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, [10.0]))
    assert [candidate.is_published for candidate in candidates(desk)] == [False]


def test_the_newest_revision_counts_with_the_close_it_used(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, [10.0]))
    desk.add(History("BBB", AS_OF, [30.0]))
    desk.add_walk(Strategy.MULTI_STEP)
    first = Said("AAA", AS_OF, (T,), 1, last_close=10.5)
    publish_forecasts(desk, first)
    assert candidates(desk)[0] == Candidate("AAA", "equity", "ok", None, 1, 10.0, 1, 10.5)
    assert [candidate.is_published for candidate in candidates(desk)] == [False, False]
    publish_forecasts(desk, replace(first, revision=2, last_close=10.0))
    assert candidates(desk)[0] == Candidate("AAA", "equity", "ok", None, 1, 10.0, 2, 10.0)
    assert [candidate.is_published for candidate in candidates(desk)] == [True, False]


def test_a_forecast_of_another_session_does_not_count(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, [10.0, 10.0]))
    desk.add_walk(Strategy.MULTI_STEP)
    publish_forecasts(desk, Said("AAA", date(2018, 5, 30), (T,), 1, last_close=10.0))
    assert [candidate.revision for candidate in candidates(desk)] == [0]


def test_a_published_symbol_whose_bar_was_removed_stays_published(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, [10.0, None]))
    desk.add_walk(Strategy.MULTI_STEP)
    publish_forecasts(desk, Said("AAA", AS_OF, (T,), 1, last_close=10.0))
    assert [candidate.is_published for candidate in candidates(desk)] == [True]
