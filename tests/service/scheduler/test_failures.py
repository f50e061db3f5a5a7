"""Runs that fail for good leave an outcome for each symbol; a run that kills its workers is set aside."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Row, select

from service import runs as runs_module
from service.alerts.outbox import Instants
from service.db.tables import run_outcomes, runs
from service.runs import Claimant, Outcome, PlannedRun, Run, plan, record_outcomes
from service.scheduler import worker as jobs
from service.scheduler.failures import claim_or_set_aside, fail
from service.scheduler.loop import Step
from tests.support.recorded import RecordedWalks
from tests.support.service_factory import MACHINE_START, Service

MARKET = datetime(2024, 3, 1, 22, 30, tzinfo=UTC)
LEASE = timedelta(seconds=30)
EVERY = ("pull", "score", "forecast", "train")


def rows(service: Service, query: Any) -> list[Row[Any]]:
    with service.database.reading() as connection:
        return list(connection.execute(query).all())


def run_row(service: Service, job: str) -> Row[Any]:
    return rows(service, select(runs).where(runs.c.job == job).order_by(runs.c.id))[0]


def outcomes(service: Service, job: str) -> dict[str, tuple[str, str]]:
    columns = (run_outcomes.c.symbol, run_outcomes.c.state, run_outcomes.c.reason)
    query = select(*columns).join(runs, runs.c.id == run_outcomes.c.run_id).where(runs.c.job == job)
    return {row.symbol: (row.state, row.reason) for row in rows(service, query)}


def plan_run(service: Service, job: str, scope: str = "XNYS") -> None:
    with service.database.transaction() as connection:
        plan(connection, [PlannedRun(job, scope, MARKET, date(2024, 3, 1))])


def claim(service: Service, seconds: float = 0) -> tuple[Run | None, list[Run]]:
    now = (MARKET, MACHINE_START + timedelta(seconds=seconds))
    with service.database.transaction() as connection:
        return claim_or_set_aside(service.context, connection, Claimant("me", EVERY, LEASE), now)


def killed(service: Service, times: int) -> None:
    """Let so many workers in succession claim the next run and die."""
    for number in range(times):
        run, set_aside = claim(service, 31 * number)
        assert run is not None
        assert set_aside == []


def test_a_run_that_kills_its_worker_each_time_is_set_aside_and_the_others_go_on(service: Service) -> None:
    plan_run(service, "pull")
    plan_run(service, "score")
    killed(service, 6)  # five takeovers are allowed
    run, set_aside = claim(service, 31 * 6)
    assert run is not None
    assert run.job == "score"
    assert [(each.job, each.lost_workers) for each in set_aside] == [("pull", 6)]
    row = run_row(service, "pull")
    assert (row.state, row.attempt, row.takeovers, row.counts) == ("failed", 1, 6, {"failed": 2})
    assert row.error == (
        "set aside: it lost 6 workers in succession, each was killed or stalled for longer than its lease of 30 s; "
        "look in the system's log for processes killed for memory, and in the schedulers' logs "
        "(TPLUS_MAX_LOST_WORKERS is the limit)"
    )
    assert outcomes(service, "pull") == dict.fromkeys(("AAA", "BBB"), ("failed", f"the pull run failed: {row.error}"))


def test_the_scheduler_reports_a_run_that_it_sets_aside_and_works_on(service: Service) -> None:
    plan_run(service, "pull")
    plan_run(service, "score")
    killed(service, 6)
    service.machine.advance(31 * 6)
    scheduler = service.scheduler()
    assert scheduler.step() is Step.WORKED
    assert [(job, state) for job, state, _ in service.reporter.ended] == [("pull", "failed"), ("score", "done")]
    assert (service.reporter.ended[0][2] or "").startswith("set aside: it lost 6 workers in succession")
    scheduler.close()


def test_crashes_leave_every_attempt_to_counted_errors(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four kills, then a defect: the run has all of its four attempts."""

    def broken(context: object, run: Run) -> None:
        raise KeyError("a defect")

    monkeypatch.setattr(jobs, "JOBS", {**jobs.JOBS, "pull": broken})
    plan_run(service, "pull")
    killed(service, 4)
    service.machine.advance(31 * 4)
    scheduler = service.scheduler()
    states = []
    for _ in range(4):
        assert scheduler.step() is Step.WORKED
        states.append((run_row(service, "pull").state, run_row(service, "pull").attempt))
        service.machine.advance(600)
    assert states == [("due", 1), ("due", 2), ("due", 3), ("failed", 4)]
    failed = ("failed", "the pull run failed: KeyError: 'a defect'")
    assert outcomes(service, "pull") == {"AAA": failed, "BBB": failed}
    assert run_row(service, "pull").counts == {"failed": 2}
    scheduler.close()


def test_a_claim_without_work_sets_nothing_aside(service: Service) -> None:
    assert claim(service) == (None, [])


def test_results_of_a_failed_run_stay_and_waiting_symbols_fail(service: Service) -> None:
    plan_run(service, "forecast")
    run, _ = claim(service)
    assert run is not None
    with service.database.transaction() as connection:
        record_outcomes(connection, run, [Outcome("AAA", "refused", "thin"), Outcome("BBB", "waiting", "no bar yet")])
        fail(connection, run, Instants(MACHINE_START, MACHINE_START), "broken")
    assert outcomes(service, "forecast") == {
        "AAA": ("refused", "thin"),
        "BBB": ("failed", "the forecast run failed: broken"),
    }
    row = run_row(service, "forecast")
    assert (row.state, row.counts, row.finished_at) == ("failed", {"failed": 1, "refused": 1}, MACHINE_START)


def test_a_failed_forecast_says_nothing_of_symbols_whose_forecast_is_published(service: Service) -> None:
    scheduler = service.scheduler()
    service.work(scheduler)
    scheduler.close()
    with service.database.transaction() as connection:
        plan(connection, [PlannedRun("forecast", "XNYS", MARKET, date(2024, 3, 1), 1)])
    run, _ = claim(service)
    assert run is not None
    with service.database.transaction() as connection:
        fail(connection, run, Instants(MACHINE_START, MACHINE_START), "broken")
    states = {row.state for row in rows(service, select(run_outcomes.c.state).where(run_outcomes.c.run_id == run.id))}
    assert states == set()


@pytest.mark.parametrize(("symbols", "expected"), [(["BBB"], {"BBB"}), ([], {"AAA", "BBB"})])
def test_a_backfill_is_about_the_symbols_that_it_was_requested_for(
    service: Service, symbols: list[str], expected: set[str]
) -> None:
    parameters = {"first": "2024-02-01", "last": "2024-02-29", "symbols": symbols}
    with service.database.transaction() as connection:
        plan(connection, [PlannedRun("backfill", "XNYS", MARKET, date(2024, 2, 29), parameters=parameters)])
        run = runs_module.claim(connection, Claimant("me", ("backfill",), LEASE), MARKET, MACHINE_START)
        assert run is not None
        fail(connection, run, Instants(MACHINE_START, MACHINE_START), "broken")
    assert outcomes(service, "backfill") == dict.fromkeys(expected, ("failed", "the backfill run failed: broken"))


@pytest.mark.parametrize(("job", "expected"), [("pull", {"AAA", "BBB"}), ("score", {"AAA"}), ("train", {"AAA"})])
def test_the_symbols_of_each_job(service: Service, source: RecordedWalks, job: str, expected: set[str]) -> None:
    """BBB is a reference series: it is pulled, and neither scored nor trained."""
    scheduler = service.scheduler()
    service.work(scheduler)
    scheduler.close()
    with service.database.transaction() as connection:
        connection.exec_driver_sql("UPDATE instruments SET active = false, reference = true WHERE symbol = 'BBB'")
        group = connection.exec_driver_sql("SELECT \"group\" FROM instruments WHERE symbol = 'AAA'").scalar_one()
        scope = group if job == "train" else "XNYS"
        plan(connection, [PlannedRun(job, scope, MARKET + timedelta(days=3), date(2024, 3, 4))])
    run, _ = claim(service)
    assert run is not None
    assert run.job == job
    with service.database.transaction() as connection:
        fail(connection, run, Instants(MACHINE_START, MACHINE_START), "broken")
    query = select(run_outcomes.c.symbol).where(run_outcomes.c.run_id == run.id)
    assert {row.symbol for row in rows(service, query)} == expected
