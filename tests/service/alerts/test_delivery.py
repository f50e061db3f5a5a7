"""The delivering threads with real receivers on loopback."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from benchmarks.reliability.alert_receiver import Receiver, running
from service.alerts.delivery import Deliverer, Pace, TargetSender
from service.alerts.encryption import Encryption
from service.alerts.outbox import Instants
from service.alerts.targets.addresses import AddressRule
from service.alerts.targets.apprise import AppriseSender
from service.alerts.targets.parse import parse_target
from service.alerts.targets.webhook import WebhookSender
from service.clock import DatabaseClock, process_now
from service.db.session import Database
from service.vocabulary import AlertKind
from tests.support.alert_factory import deliveries, numbered, publish, subscribe

LOOPBACK = AddressRule(loopback=True)
PACE = Pace(retry_seconds=(0.01, 0.01, 0.01), lease=timedelta(seconds=5), poll_seconds=0.02)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running() as opened:
        yield opened


def deliverer(database: Database, folder: Path, pace: Pace = PACE) -> Deliverer:
    sender = TargetSender(Encryption(folder / "alerts.key"), WebhookSender(LOOPBACK), AppriseSender(LOOPBACK))
    return Deliverer(database, DatabaseClock(), sender, pace)


def send_to(database: Database, folder: Path, url: str, *numbers: int) -> str:
    """Subscribe a URL and publish numbered events for it; return the secret."""
    target = parse_target(url, LOOPBACK)
    secret = subscribe(database, folder, AlertKind.SOURCE_DOWN, target=target).secret
    now = process_now() - timedelta(seconds=1)  # due on both clocks
    for number in numbers:
        publish(database, numbered(number), at=Instants(now, now))
    return str(secret)


def states(database: Database) -> list[tuple[str, int]]:
    return [(row.state, row.attempts) for row in deliveries(database)]


def test_a_message_arrives_signed_and_the_standard_library_verifies_it(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    secret = send_to(database, tmp_path, receiver.url("ok"), 1)
    assert deliverer(database, tmp_path).deliver_next()
    (request,) = receiver.requests
    body = Webhook(secret).verify(request.body, request.headers)
    assert body["data"]["events"][0]["message"] == "event 1"
    assert request.headers["content-type"] == "application/json"
    assert request.id == deliveries(database)[0].message_id
    assert states(database) == [("delivered", 1)]
    assert not deliverer(database, tmp_path).deliver_next()


def test_a_failing_receiver_gets_the_same_message_again_before_the_next(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    send_to(database, tmp_path, receiver.url("failing"), 1, 2)
    threads = deliverer(database, tmp_path)
    threads.start()
    until = time.monotonic() + 30
    while len(receiver.accepted) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    threads.stop()
    assert [request.events[0]["number"] for request in receiver.requests] == [1, 1, 1, 2, 2, 2]
    assert len({request.id for request in receiver.requests}) == 2
    assert states(database) == [("delivered", 3), ("delivered", 3)]


def test_what_never_answers_2xx_is_a_dead_letter_with_its_reason(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    send_to(database, tmp_path, receiver.url("broken"), 1)
    once = deliverer(database, tmp_path, Pace(retry_seconds=()))
    assert once.deliver_next()
    assert states(database) == [("dead", 1)]
    assert deliveries(database)[0].error == "answered 500"


def test_a_receiver_that_is_down_is_a_retry(database: Database, tmp_path: Path) -> None:
    with running() as receiver:
        pass
    send_to(database, tmp_path, receiver.url("ok"), 1)
    assert deliverer(database, tmp_path).deliver_next()
    (row,) = deliveries(database)
    assert row.state == "pending"
    assert row.error.startswith("cannot connect to 127.0.0.1 port")


def test_a_target_that_cannot_be_decrypted_is_a_retry_that_names_the_file(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    send_to(database, tmp_path, receiver.url("ok"), 1)
    (tmp_path / "alerts.key").unlink()
    assert deliverer(database, tmp_path).deliver_next()
    (row,) = deliveries(database)
    assert row.state == "pending"
    assert "alerts.key cannot be used" in row.error
    assert receiver.requests == []


def test_a_sender_that_fails_unexpectedly_loses_nothing(database: Database, tmp_path: Path) -> None:
    class Defect:
        def send(self, claimed: object, at: datetime) -> None:
            raise ZeroDivisionError

    subscribe(database, tmp_path, AlertKind.SOURCE_DOWN)
    now = datetime(2020, 1, 1, tzinfo=UTC)
    publish(database, numbered(1), at=Instants(now, now))
    assert Deliverer(database, DatabaseClock(), Defect(), PACE).deliver_next()  # type: ignore[arg-type]
    assert states(database) == [("pending", 1)]
    assert deliveries(database)[0].error == "internal error: ZeroDivisionError"
