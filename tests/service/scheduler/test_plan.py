"""The planner: due runs, and the newest runs of a job."""

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Row, select

from service.db.tables import runs
from service.market.instruments import add_symbols, remove_symbols
from service.scheduler.plan import newest_runs, plan_due, plan_trainings
from service.scheduler.state import GroupReader, active_calendars, calendar_views
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import Service

FRIDAY = datetime(2024, 3, 1, 22, 30, tzinfo=UTC)
MONDAY = datetime(2024, 3, 4, 22, 30, tzinfo=UTC)


def rows(service: Service, query: Any) -> list[Row[Any]]:
    with service.database.reading() as connection:
        return list(connection.execute(query).all())


def plan(service: Service, at: datetime) -> int:
    with service.database.transaction() as connection:
        return plan_due(service.context, connection, GroupReader(), at)


def work_until_idle(service: Service) -> None:
    scheduler = service.scheduler()
    service.work(scheduler)
    scheduler.close()


def test_due_runs_are_planned_once(service: Service) -> None:
    assert plan(service, FRIDAY) == 3
    assert plan(service, FRIDAY) == 0
    assert plan(service, MONDAY) == 3


def test_a_new_symbol_is_pulled_and_forecast_by_a_further_run_immediately(
    service: Service, source: RecordedWalks
) -> None:
    work_until_idle(service)
    source.put(Walk("CCC", date(2023, 9, 1), date(2024, 3, 6), seed=3))
    with service.database.transaction() as connection:
        add_symbols(connection, ["CCC"], FRIDAY, {})
    work_until_idle(service)
    further = rows(service, select(runs.c.job, runs.c.sequence, runs.c.state).where(runs.c.sequence > 0))
    assert sorted(tuple(row) for row in further) == [("forecast", 1, "done"), ("pull", 1, "done")]
    assert [edition.number for edition in service.reporter.editions] == [1, 2]
    assert {step.symbol for step in service.reporter.editions[1].steps} == {"CCC"}
    assert plan(service, FRIDAY) == 0


def test_a_new_symbol_unknown_to_the_source_is_pulled_once(service: Service) -> None:
    work_until_idle(service)
    with service.database.transaction() as connection:
        add_symbols(connection, ["NOPE"], FRIDAY, {})
    work_until_idle(service)
    work_until_idle(service)
    assert len(rows(service, select(runs.c.id).where(runs.c.job == "pull"))) == 2


def test_a_calendar_without_symbols_is_not_planned(service: Service) -> None:
    with service.database.transaction() as connection:
        remove_symbols(connection, ["AAA", "BBB"])
    assert plan(service, FRIDAY) == 0
    with service.database.reading() as connection:
        assert active_calendars(connection) == ()
        assert calendar_views(connection) == ()


def test_a_requested_training_is_planned_once_at_the_newest_instant(service: Service) -> None:
    work_until_idle(service)
    service.move_market(MONDAY)
    work_until_idle(service)
    with service.database.transaction() as connection:
        plan_trainings(service.context, connection, MONDAY)
        plan_trainings(service.context, connection, MONDAY)
        found = newest_runs(connection, "train")
    trains = rows(service, select(runs.c.id, runs.c.scheduled_for).where(runs.c.job == "train").order_by(runs.c.id))
    assert [row.scheduled_for for row in trains] == [FRIDAY, MONDAY]
    assert found == [trains[1].id]


def test_newest_runs_are_by_scope_with_every_sequence(service: Service) -> None:
    work_until_idle(service)
    with service.database.reading() as connection:
        assert newest_runs(connection, "score") == [row.id for row in rows(service, select(runs.c.id).where(
            runs.c.job == "score"))]  # fmt: skip
        assert newest_runs(connection, "nothing") == []
