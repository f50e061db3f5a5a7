"""Market time passes without a scheduler: forecasts are missed, never back-dated; scores catch up."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from service.db.session import Database
from service.db.tables import editions, forecasts, run_outcomes, runs, scores
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import Service, ServiceOptions, make_service

FIRST, LAST = date(2023, 9, 1), date(2024, 6, 28)
TEN = [date(2024, 3, day) for day in (4, 5, 6, 7, 8, 11, 12, 13, 14, 15)]


def market(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2024, 3, day, hour, minute, tzinfo=UTC)


@pytest.fixture
def service(database: Database, tmp_path: Path) -> Service:
    """Forecasts of Friday 2024-03-01 are issued; then the scheduler stops."""
    source = RecordedWalks([Walk("AAA", FIRST, LAST, seed=1), Walk("BBB", FIRST, LAST, seed=2)])
    made = make_service(database, tmp_path, source, ServiceOptions("2024-03-01T22:30:00Z", ("AAA", "BBB")))
    run_once(made)
    return made


def run_once(service: Service) -> None:
    scheduler = service.scheduler()
    service.work(scheduler)
    scheduler.close()


def rows(service: Service, query: Any) -> list[Any]:
    with service.database.reading() as connection:
        return list(connection.execute(query).all())


def outcomes(service: Service) -> dict[tuple[date, str], tuple[str, str | None]]:
    columns = (runs.c.session, run_outcomes.c.symbol, run_outcomes.c.state, run_outcomes.c.reason)
    query = select(*columns).join(runs, runs.c.id == run_outcomes.c.run_id).where(runs.c.job == "forecast")
    return {(row.session, row.symbol): (row.state, row.reason) for row in rows(service, query)}


def test_ten_sessions_later_all_are_missed_and_none_is_back_dated(service: Service) -> None:
    service.move_market(market(18, 13, 30))  # T of the tenth session has just opened
    run_once(service)
    found = outcomes(service)
    assert {key[0] for key in found} == {date(2024, 3, 1), *TEN}
    assert {found[day, symbol][0] for day in TEN for symbol in ("AAA", "BBB")} == {"missed"}
    reason = found[TEN[0], "AAA"][1]
    assert reason is not None
    assert reason.startswith("T (2024-03-05) opened before this could be issued (on time until 2024-03-05T14:30:00Z)")
    assert [row.as_of for row in rows(service, select(editions.c.as_of))] == [date(2024, 3, 1)]


def test_the_newest_is_forecast_while_it_is_on_time(service: Service) -> None:
    service.move_market(market(18, 13, 29))
    run_once(service)
    found = outcomes(service)
    assert {found[day, "AAA"][0] for day in TEN[:-1]} == {"missed"}
    assert found[TEN[-1], "AAA"][0] == "forecast"
    issued = rows(service, select(editions.c.as_of, editions.c.issued_at).order_by(editions.c.number))
    assert [tuple(row) for row in issued] == [
        (date(2024, 3, 1), market(1, 22, 30)),
        (date(2024, 3, 15), market(18, 13, 29)),
    ]


def test_pulls_and_scores_catch_up_in_one_run(service: Service) -> None:
    service.move_market(market(18, 13, 30))
    run_once(service)
    query = select(runs.c.job, runs.c.session, runs.c.state).where(runs.c.session.in_(TEN)).order_by(runs.c.id)
    states = {(row.job, row.session): row.state for row in rows(service, query) if row.job != "train"}
    assert len(states) == 30
    assert {state for (job, day), state in states.items() if day != TEN[-1] and job != "forecast"} == {"superseded"}
    assert {state for (job, day), state in states.items() if day == TEN[-1] or job == "forecast"} == {"done"}
    joined = forecasts.outerjoin(scores, scores.c.forecast_id == forecasts.c.id)
    scored = rows(service, select(scores.c.state, scores.c.scored_at).select_from(joined))
    assert {tuple(row) for row in scored} == {("scored", market(18, 13, 30))}
    assert len(scored) == 8


def test_a_second_start_at_the_same_instant_adds_nothing(service: Service) -> None:
    service.move_market(market(18, 13, 30))
    run_once(service)
    before = rows(service, select(runs.c.id))
    run_once(service)
    assert rows(service, select(runs.c.id)) == before


def test_missed_sessions_do_not_stop_later_forecasts(service: Service) -> None:
    service.move_market(market(18, 13, 30))
    scheduler = service.scheduler()
    service.replay(scheduler, market(18, 21, 30))
    scheduler.close()
    assert outcomes(service)[date(2024, 3, 18), "AAA"][0] == "forecast"
