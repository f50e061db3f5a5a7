"""Waiting for the active scheduler: its answer, and its end before or after the answer."""

import threading
from datetime import date
from pathlib import Path

import pytest

from service.cli.serve.jobs import _follow
from service.db.session import Database
from service.errors import TplusError
from service.scheduler.leader import acquire_lead
from service.scheduler.loop import Step
from tests.support.command import wait_for
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import Service, ServiceOptions, make_service


@pytest.fixture
def service(database: Database, tmp_path: Path) -> Service:
    """Friday's runs are due."""
    source = RecordedWalks([Walk("AAA", date(2023, 9, 1), date(2024, 3, 6), seed=1)])
    return make_service(database, tmp_path, source, ServiceOptions("2024-03-01T22:30:00Z", ("AAA",)))


def lead(service: Service) -> None:
    with service.database.transaction() as connection:
        acquire_lead(connection, "other", "host:1", service.machine, service.context.lease)


def test_it_returns_the_runs_once_they_have_ended(service: Service) -> None:
    scheduler = service.scheduler()
    scheduler.step()
    found: list[int] = []
    follower = threading.Thread(target=lambda: found.extend(_follow(service.context, "forecast", scheduler.name)))
    follower.start()
    while follower.is_alive():
        if scheduler.step() is Step.IDLE:
            follower.join(0.05)
    scheduler.close()
    assert len(found) == 1
    assert [summary.as_of for summary in service.reporter.editions] == [date(2024, 3, 1)]


def test_a_scheduler_that_dies_before_its_answer_is_reported(service: Service) -> None:
    lead(service)
    service.machine.advance(31)
    with pytest.raises(
        TplusError, match=r"the active scheduler \(host:1\) ended before pull was done; run the command"
    ):
        _follow(service.context, "pull", "host:1")


def test_a_scheduler_that_dies_after_its_answer_is_reported(service: Service) -> None:
    """The scheduler answers, then is killed with the run still due: no other process would do it."""
    scheduler = service.scheduler()
    with service.database.transaction() as connection:
        acquire_lead(connection, scheduler.id, scheduler.name, service.machine, service.context.lease)

    def answer_then_die() -> None:
        wait_for(lambda: count_requests(service) == 1)
        scheduler.step()  # plans, answers the request and pulls; score and forecast stay due
        service.machine.advance(31)

    killed = threading.Thread(target=answer_then_die)
    killed.start()
    with pytest.raises(TplusError, match="ended before forecast was done"):
        _follow(service.context, "forecast", scheduler.name)
    killed.join()


def count_requests(service: Service) -> int:
    with service.database.reading() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM run_requests").scalar_one())
