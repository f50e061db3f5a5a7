"""Alerts of a scheduler: it delivers what is due, and its runs write events with their results."""

import threading
import time
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import update

from benchmarks.reliability.alert_receiver import Receiver, running
from service.alerts.outbox import Instants, emit
from service.alerts.targets.addresses import AddressRule
from service.alerts.targets.parse import parse_target
from service.db.session import Database
from service.db.tables import runs
from service.prices.sources.base import Transient
from service.scheduler.worker import execute
from service.vocabulary import AlertKind
from tests.support.alert_factory import deliveries, events, numbered, subscribe
from tests.support.fakes import FakeSource, bars_frame
from tests.support.forecast_factory import Desk, History, open_desk, utc
from tests.support.recorded import RecordedWalks
from tests.support.service_factory import Service, ServiceOptions, make_service

FRIDAY = date(2018, 6, 1)


@pytest.fixture
def service(database: Database, tmp_path: Path, source: RecordedWalks) -> Service:
    """Return a service that may send to plain http on loopback."""
    settings = {"alert_loopback_http": True, "poll_seconds": 0.05}
    return make_service(database, tmp_path, source, ServiceOptions("2024-03-01T22:30:00Z", ("AAA", "BBB"), settings))


def queue(service: Service, folder: Path, receiver: Receiver) -> None:
    target = parse_target(receiver.url("ok"), AddressRule(loopback=True))
    subscribe(service.database, folder, AlertKind.SOURCE_DOWN, target=target)
    with service.database.transaction() as connection:
        now = service.machine.now(connection)
        assert emit(connection, [numbered(1)], Instants(now, now)) == 1


def test_a_scheduler_that_runs_delivers(service: Service, tmp_path: Path) -> None:
    with running() as receiver:
        queue(service, tmp_path, receiver)
        scheduler = service.scheduler()
        thread = threading.Thread(target=scheduler.run)
        thread.start()
        until = time.monotonic() + 60
        while deliveries(service.database)[0].state != "delivered" and time.monotonic() < until:
            time.sleep(0.05)
        scheduler.stop()
        thread.join()
        assert len(receiver.accepted) == 1
    assert deliveries(service.database)[0].state == "delivered"


def test_a_command_that_ends_delivers_what_is_due(service: Service, tmp_path: Path) -> None:
    with running() as receiver:
        queue(service, tmp_path, receiver)
        assert service.scheduler().drain()
        assert len(receiver.accepted) == 1


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    """Return a desk whose source does not answer."""
    source = FakeSource(errors={symbol: Transient(f"{symbol}: no answer") for symbol in ("AAA", "BBB")})
    opened = open_desk(database, tmp_path, utc(2018, 6, 1, 22), source)
    for symbol in ("AAA", "BBB"):
        opened.add(History(symbol, date(2018, 5, 31), [100.0] * 20))
    return opened


def attempt(desk: Desk) -> None:
    """Do an attempt of Friday's pull as the scheduler does it."""
    run = desk.run("pull", FRIDAY)
    execute(desk.context, run, lambda: False)
    with desk.database.transaction() as connection:
        connection.execute(update(runs).values(not_before=None))  # the backoff is over


def test_a_source_that_does_not_answer_is_down_once_and_up_again(desk: Desk, tmp_path: Path) -> None:
    subscribe(desk.database, tmp_path, AlertKind.SOURCE_DOWN)
    attempt(desk)
    attempt(desk)
    (down,) = events(desk.database, AlertKind.SOURCE_DOWN)
    assert down["message"] == "prices of XNYS are not arriving: AAA: no answer"
    assert isinstance(desk.context.source, FakeSource)
    desk.context.source.errors.clear()
    for symbol in ("AAA", "BBB"):
        desk.context.source.bars[symbol] = bars_frame([date(2018, 5, 31), FRIDAY], [100.0, 100.0])
    attempt(desk)
    assert [row.kind for row in deliveries(desk.database)] == ["source_down", "source_up"]
