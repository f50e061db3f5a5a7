"""The scheduler's loop: work, standby, takeover with fencing, draining, stopping."""

import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Row, select

from service.db.tables import editions, forecasts, runs, schedulers
from service.forecasts.ledger import verify
from service.prices.sources.base import Transient
from service.runs import PlannedRun, plan
from service.scheduler.loop import Scheduler, Step
from tests.support.recorded import RecordedWalks
from tests.support.service_factory import Service

MARKET = datetime(2024, 3, 1, 22, 30, tzinfo=UTC)


def rows(service: Service, query: Any) -> list[Row[Any]]:
    with service.database.reading() as connection:
        return list(connection.execute(query).all())


def states(service: Service) -> dict[str, str]:
    return {row.job: row.state for row in rows(service, select(runs.c.job, runs.c.state).order_by(runs.c.id))}


ALL_DONE = {"pull": "done", "score": "done", "forecast": "done", "train": "done"}


def test_each_step_executes_one_due_run(service: Service) -> None:
    scheduler = service.scheduler()
    assert [scheduler.step() for _ in range(3)] == [Step.WORKED] * 3
    assert states(service) == {"pull": "done", "score": "done", "forecast": "done"} | {
        job: state for job, state in states(service).items() if job == "train"
    }
    service.work(scheduler)
    assert states(service) == ALL_DONE
    assert scheduler.step() is Step.IDLE
    scheduler.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # on PostgreSQL every scheduler works
def test_a_second_scheduler_is_on_standby_and_reports_the_active_one_once(service: Service) -> None:
    active, standby = service.scheduler(), service.scheduler()
    assert active.step() is Step.WORKED
    assert [standby.step(), standby.step()] == [Step.STANDBY, Step.STANDBY]
    assert [n for n in service.reporter.notices if "on standby" in n] == [
        f"another scheduler is active ({active.name}); on standby until its lease ends"
    ]
    active.close()
    assert standby.step() is Step.WORKED
    standby.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_scheduler_that_loses_the_lead_after_a_backfill_waits_between_two_looks(service: Service) -> None:
    first, second = service.scheduler(), service.scheduler()
    service.work(first)
    parameters = {"first": "2024-02-28", "last": "2024-02-29", "symbols": []}
    with service.database.transaction() as connection:
        plan(connection, [PlannedRun("backfill", "XNYS", MARKET, date(2024, 2, 29), parameters=parameters)])
    assert first._turn() == 0.0  # a slice: it continues at once
    service.machine.advance(31)
    second.step()
    assert first._turn() == service.context.settings.poll_seconds > 0
    for scheduler in (first, second):
        scheduler.close()


def test_the_forecast_of_a_stalled_scheduler_is_taken_over_and_its_result_discarded(service: Service) -> None:
    """The leases of the first scheduler expire during its computation; the second one publishes."""
    stalled, second = service.scheduler(), service.scheduler()
    stalled.step()
    stalled.step()

    def stall() -> None:
        service.machine.advance(31)
        assert second.step() is Step.WORKED
        assert rows(service, select(editions.c.number)) == [(1,)]

    service.worker.before = stall
    assert stalled.step() is Step.WORKED
    assert "was taken over by another worker" in service.reporter.notices[-1]
    assert rows(service, select(editions.c.number)) == [(1,)]
    keys = rows(service, select(forecasts.c.symbol, forecasts.c.strategy, forecasts.c.step, forecasts.c.revision))
    assert len(keys) == len(set(keys)) == 8
    row = rows(service, select(runs).where(runs.c.job == "forecast"))[0]
    assert (row.state, row.token, row.attempt, row.takeovers, row.owner) == ("done", 2, 1, 1, second.id)
    # On SQLite the second one leads now; on PostgreSQL every scheduler works, and the training is left.
    assert stalled.step() is (Step.STANDBY if service.database.is_sqlite else Step.WORKED)
    stalled.close()
    with service.database.reading() as connection:
        assert verify(connection) == []
    second.close()


def test_draining_executes_all_due_runs_and_does_not_move_market_time(service: Service) -> None:
    scheduler = service.scheduler()
    scheduler.drain()
    assert states(service) == ALL_DONE
    assert service.context.market_now() == MARKET
    assert rows(service, select(schedulers.c.lease_until)) == [(None,)]


def test_draining_retries_until_a_run_has_ended(service: Service, source: RecordedWalks) -> None:
    source.errors["BBB"] = Transient("BBB: timed out")
    settings = service.context.settings.model_copy(update={"retry_seconds": 0.0})
    scheduler = Scheduler(replace(service.context, settings=settings), ("pull",))
    scheduler.drain()
    assert states(service)["pull"] == "done"
    assert [symbol for symbol, _ in source.fetched].count("BBB") == 4


def test_draining_some_jobs_leaves_the_others_due(service: Service) -> None:
    Scheduler(service.context, ("pull", "score")).drain()
    assert states(service) == {"pull": "done", "score": "done", "forecast": "due"} | {
        job: state for job, state in states(service).items() if job == "train"
    }
    assert rows(service, select(editions.c.number)) == []


def test_a_stopped_scheduler_ends_and_releases_the_lead(service: Service) -> None:
    scheduler = service.scheduler()
    threading.Timer(0.3, scheduler.stop).start()
    scheduler.run()
    assert rows(service, select(schedulers.c.lease_until)) == [(None,)]
    assert {row.state for row in rows(service, select(runs.c.state))} <= {"done", "due", "waiting"}


def test_run_replays_the_record_to_its_end(service: Service) -> None:
    scheduler = service.scheduler()
    worker = threading.Thread(target=scheduler.run)
    worker.start()
    for _ in range(600):
        worker.join(0.05)
        if scheduler.record_ended:
            break
    scheduler.stop()
    worker.join(10)
    assert scheduler.record_ended
    assert service.context.market_now() == datetime(2024, 3, 6, 22, 30, tzinfo=UTC)
    sessions = rows(service, select(runs.c.session).where(runs.c.job == "forecast").order_by(runs.c.id))
    assert [row.session.day for row in sessions] == [1, 4, 5, 6]
