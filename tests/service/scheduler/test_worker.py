"""Execution of jobs: retries with backoff, failure after the last attempt, interruption, fencing."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy import Row, select

from service.db.tables import editions, run_outcomes, runs
from service.execution.executor import WorkerDied
from service.log_config import configure_logs
from service.prices.sources.base import Malformed, Transient, UnknownSymbol
from service.runs import Claimant, Run, claim
from service.scheduler import worker as jobs
from service.scheduler.loop import Step
from tests.support.recorded import RecordedWalks
from tests.support.service_factory import MACHINE_START, Service

FRIDAY = date(2024, 3, 1)
MARKET = datetime(2024, 3, 1, 22, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    """Restore the logs that a test has configured."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    yield
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def rows(service: Service, query: Any) -> list[Row[Any]]:
    with service.database.reading() as connection:
        return list(connection.execute(query).all())


def run_row(service: Service, job: str) -> Row[Any]:
    return rows(service, select(runs).where(runs.c.job == job).order_by(runs.c.id))[0]


def claimed(service: Service) -> Run:
    with service.database.transaction() as connection:
        found = claim(connection, Claimant("me", ("pull", "score", "forecast"), timedelta(30)), MARKET, MACHINE_START)
    assert found is not None
    return found


def outcomes(service: Service, job: str) -> dict[str, str]:
    query = select(run_outcomes.c.symbol, run_outcomes.c.state).join(runs, runs.c.id == run_outcomes.c.run_id)
    return {row.symbol: row.state for row in rows(service, query.where(runs.c.job == job))}


def test_a_transient_fault_is_retried_with_backoff_for_that_symbol_alone(
    service: Service, source: RecordedWalks
) -> None:
    source.errors["BBB"] = Transient("BBB: timed out")
    scheduler = service.scheduler()
    waits = []
    for _ in range(3):
        assert scheduler.step() is Step.WORKED
        row = run_row(service, "pull")
        assert (row.state, row.error) == ("due", "1 of 2 symbols could not be pulled; BBB: timed out")
        waits.append((row.not_before - service.machine.at).total_seconds())
        service.machine.at = row.not_before - timedelta(milliseconds=1)
        assert scheduler.step() is Step.IDLE, "it was retried too early, or a later job was executed first"
        service.machine.at = row.not_before
    assert 10 <= waits[0] <= 20 <= waits[1] <= 40 <= waits[2] <= 80
    assert scheduler.step() is Step.WORKED
    row = run_row(service, "pull")
    assert (row.state, row.attempt, row.counts) == ("done", 4, {"ok": 1, "transient": 1})
    assert [symbol for symbol, _ in source.fetched] == ["AAA", "BBB", "BBB", "BBB", "BBB"]
    scheduler.close()


def test_a_forecast_run_waits_for_a_missing_symbol_after_the_others(service: Service, source: RecordedWalks) -> None:
    source.errors["BBB"] = Malformed("BBB: line 7 of bbb.csv has no close")
    scheduler = service.scheduler()
    service.work(scheduler)
    scheduler.close()
    assert outcomes(service, "pull") == {"AAA": "ok", "BBB": "malformed"}
    assert outcomes(service, "forecast") == {"AAA": "forecast", "BBB": "waiting"}
    assert run_row(service, "forecast").state == "waiting"


def test_a_pull_without_any_bar_fails_with_the_first_reason(service: Service, source: RecordedWalks) -> None:
    for symbol in source.symbols():
        source.errors[symbol] = Transient("too many requests")
    scheduler = service.scheduler()
    for _ in range(4):
        scheduler.step()
        service.machine.advance(3600)
    scheduler.close()
    row = run_row(service, "pull")
    assert (row.state, row.error) == ("failed", "no symbol could be pulled; AAA: too many requests")


def test_an_unknown_symbol_is_reported_and_not_forecast(service: Service, source: RecordedWalks) -> None:
    source.errors["BBB"] = UnknownSymbol("BBB: no such symbol")
    scheduler = service.scheduler()
    service.work(scheduler)
    scheduler.close()
    assert outcomes(service, "pull") == {"AAA": "ok", "BBB": "unknown"}
    assert outcomes(service, "forecast") == {"AAA": "forecast"}
    assert run_row(service, "forecast").state == "done"


DIED = WorkerDied("the forecasting worker process ended during a task (exit code -9)")


def test_the_death_of_a_worker_uses_an_attempt(service: Service) -> None:
    service.worker.fault = DIED
    scheduler = service.scheduler()
    for _ in range(3):
        assert scheduler.step() is Step.WORKED
    row = run_row(service, "forecast")
    assert (row.state, row.attempt) == ("due", 1)
    assert "exit code -9" in row.error
    service.worker.fault = None
    service.machine.advance(60)
    service.work(scheduler)
    scheduler.close()
    assert (run_row(service, "forecast").state, run_row(service, "forecast").attempt) == ("done", 2)


def test_a_run_interrupted_by_a_stop_is_released(service: Service) -> None:
    scheduler = service.scheduler()
    for _ in range(2):
        assert scheduler.step() is Step.WORKED  # pull and score
    run = claimed(service)
    assert run.job == "forecast"
    service.worker.fault = DIED
    jobs.execute(service.context, run, lambda: True)
    row = run_row(service, "forecast")
    assert (row.state, row.attempt, row.error, row.lease_until) == ("due", 0, None, None)
    scheduler.close()


def test_a_defect_fails_the_run_after_its_attempts_and_not_the_loop(
    service: Service, source: RecordedWalks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(context: object, run: Run) -> None:
        raise KeyError("a defect")

    monkeypatch.setattr(jobs, "JOBS", {**jobs.JOBS, "score": broken})
    scheduler = service.scheduler()
    for _ in range(12):
        service.work(scheduler)
        service.machine.advance(600)
    scheduler.close()
    row = run_row(service, "score")
    assert (row.state, row.attempt, row.error) == ("failed", 4, "KeyError: 'a defect'")
    assert run_row(service, "forecast").state == "done"


def test_a_fenced_worker_reports_it_and_publishes_nothing(service: Service) -> None:
    scheduler = service.scheduler()
    for _ in range(2):
        scheduler.step()
    stale = claimed(service)
    with service.database.transaction() as connection:
        later = MACHINE_START + timedelta(days=40)
        taken = claim(connection, Claimant("other", ("forecast",), timedelta(30)), MARKET, later)
    assert taken is not None
    jobs.execute(service.context, stale, lambda: False)
    assert "was taken over by another worker" in service.reporter.notices[-1]
    assert rows(service, select(editions.c.number)) == []
    assert [row.fenced for row in rows(service, select(runs.c.fenced).where(runs.c.id == stale.id))] == [1]
    jobs.execute(service.context, taken, lambda: False)
    assert [row.as_of for row in rows(service, select(editions.c.as_of))] == [FRIDAY]
    assert {row.state for row in rows(service, select(runs.c.state).where(runs.c.job == "forecast"))} == {"done"}
    scheduler.close()


def test_every_log_line_of_a_run_names_it(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def chatty(context: object, run: Run) -> None:
        structlog.get_logger("any").info("ours")
        logging.getLogger("service.any").warning("of the standard library")

    stream = io.StringIO()
    configure_logs("info", stream)
    monkeypatch.setattr(jobs, "JOBS", {**jobs.JOBS, "pull": chatty})
    scheduler = service.scheduler()
    assert scheduler.step() is Step.WORKED
    scheduler.close()
    run = run_row(service, "pull")
    structlog.get_logger("any").info("after")
    *inside, after = [json.loads(line) for line in stream.getvalue().splitlines()]
    named = {"run_id": run.id, "job": "pull", "scope": "XNYS", "token": 1}
    assert [line["event"] for line in inside] == ["ours", "of the standard library"]
    assert all(named.items() <= line.items() for line in inside)
    assert set(named) & set(after) == set()
