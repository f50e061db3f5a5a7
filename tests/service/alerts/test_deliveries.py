"""Claims in order under a lease, retries with backoff, dead letters and their retry."""

from datetime import timedelta
from pathlib import Path

import pytest

from service.alerts.deliveries import (
    RETRY_SECONDS,
    Claimed,
    claim,
    has_due,
    list_dead,
    prune,
    record_result,
    retry_dead,
)
from service.alerts.targets.result import SendResult
from service.db.session import Database
from service.errors import NotFound
from service.vocabulary import AlertKind, DeliveryState
from tests.support.alert_factory import AT, deliveries, numbered, publish, subscribe

OK, FAILED = SendResult(None), SendResult("answered 500")
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@pytest.fixture
def outbox(database: Database, tmp_path: Path) -> Database:
    """Return a database with two subscriptions and two deliveries for each."""
    subscribe(database, tmp_path, AlertKind.SOURCE_DOWN)
    subscribe(database, tmp_path, AlertKind.SOURCE_DOWN)
    publish(database, numbered(1))
    publish(database, numbered(2))
    return database


def take(database: Database, after: timedelta = timedelta()) -> Claimed | None:
    with database.transaction() as connection:
        return claim(connection, AT + after)


def end(database: Database, claimed: Claimed | None, result: SendResult, after: timedelta = timedelta()) -> str | None:
    assert claimed is not None
    with database.transaction() as connection:
        return record_result(connection, claimed, result, AT + after)


def test_deliveries_of_a_subscription_are_claimed_one_after_the_other(outbox: Database) -> None:
    first, second, third = take(outbox), take(outbox), take(outbox)
    assert first is not None
    assert second is not None
    assert (first.id, second.id, third) == (1, 2, None)  # each subscription has one in flight
    assert end(outbox, first, OK) == "delivered"
    following = take(outbox)
    assert following is not None
    assert following.id == 3


def test_a_failed_delivery_holds_the_ones_behind_it_until_it_is_dead(outbox: Database) -> None:
    assert end(outbox, take(outbox), FAILED) == "pending"
    assert end(outbox, take(outbox), OK) == "delivered"
    other = take(outbox)
    assert other is not None
    assert other.id == 4
    assert take(outbox) is None  # number 3 waits for number 1


def test_ten_attempts_fail_within_three_days_and_the_next_message_follows(database: Database, tmp_path: Path) -> None:
    subscribe(database, tmp_path, AlertKind.SOURCE_DOWN)
    publish(database, numbered(1))
    publish(database, numbered(2))
    at = timedelta()
    waits = []
    for attempt in range(1, 11):
        claimed = take(database, at)
        assert claimed is not None
        assert (claimed.id, claimed.attempt) == (1, attempt)
        state = end(database, claimed, FAILED, at)
        if attempt < 10:
            due = deliveries(database)[0].next_attempt_at - AT
            waits.append((due - at).total_seconds())
            assert take(database, due - SECOND) is None
            at = due
    assert state == "dead"
    usual = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
    assert usual == RETRY_SECONDS
    assert all(0.8 * wait <= found <= 1.2 * wait for wait, found in zip(usual, waits, strict=True))
    following = take(database, at)
    assert following is not None
    assert following.id == 2


def test_a_killed_process_loses_its_claim_when_the_lease_ends(outbox: Database) -> None:
    killed = take(outbox)
    assert killed is not None
    again = next(each for each in (take(outbox, MINUTE), take(outbox, MINUTE)) if each is not None and each.id == 1)
    assert (again.message_id, again.attempt) == (killed.message_id, 2)
    assert end(outbox, killed, OK) is None
    assert end(outbox, again, OK) == "delivered"


def test_a_receiver_may_want_a_longer_wait_and_may_want_no_more(outbox: Database) -> None:
    end(outbox, take(outbox), SendResult("answered 429", retry_after=3600.0))
    assert deliveries(outbox)[0].next_attempt_at == AT + timedelta(hours=1)
    assert end(outbox, take(outbox), SendResult("answered 410", is_final=True)) == "dead"


def test_an_error_is_stored_on_one_line_without_control_characters(outbox: Database) -> None:
    end(outbox, take(outbox), SendResult("bad\x00 header\r\n\x1b[31m" + "x" * 600))
    stored = deliveries(outbox)[0].error
    assert stored.startswith("bad header [31mxxx")
    assert len(stored) == 500


def test_dead_letters_are_listed_and_sent_again_with_all_attempts(outbox: Database) -> None:
    end(outbox, take(outbox), SendResult("answered 410", is_final=True))
    with outbox.transaction() as connection:
        (dead,) = list_dead(connection)
        assert (dead.id, dead.name, dead.error) == (1, "night shift", "answered 410")
        with pytest.raises(NotFound, match="there is no dead letter 9"):
            retry_dead(connection, [1, 9], AT)
        assert retry_dead(connection, None, AT) == [1]
    claimed = take(outbox)
    assert claimed is not None
    assert (claimed.id, claimed.attempt) == (1, 1)


def test_old_deliveries_are_deleted_and_dead_letters_kept(outbox: Database) -> None:
    end(outbox, take(outbox), OK)
    end(outbox, take(outbox), SendResult("gone", is_final=True))
    with outbox.transaction() as connection:
        prune(connection, AT + timedelta(days=91))
        assert not has_due(connection, AT - SECOND)
    states = [(row.id, row.state) for row in deliveries(outbox)]
    assert states == [(2, DeliveryState.DEAD), (3, "pending"), (4, "pending")]
