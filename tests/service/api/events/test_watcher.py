"""Events of successive polls, and the events that a slow client receives."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, update
from sqlalchemy.exc import OperationalError

from service.api.common.dependencies import Reader
from service.api.events.hub import MOST_WAITING, Hub, Subscription
from service.api.events.watcher import MOST_SYMBOLS, Event, Poll, Watcher
from service.api.status.read_status import StatusReader
from service.clock import DatabaseClock
from service.db.change_counters import raise_changes
from service.db.session import Database
from service.db.tables import change_counters, instruments, market_clock, runs, schedulers
from service.settings import Settings
from tests.support.api.ledger_factory import FRIDAY, NOW, Publish, at, move_clock, publish


@pytest.fixture
def watcher(filled: Database) -> Watcher:
    watcher = Watcher(StatusReader(Reader(Settings(), filled), "1"))
    assert [event.kind for event in watcher.poll().news] == ["status"]
    return watcher


def poll_events(watcher: Watcher) -> list[tuple[str, Any]]:
    return [(event.kind, json.loads(event.data)) for event in watcher.poll().news]


def add_run(database: Database, **values: Any) -> None:
    row = {"id": 50, "job": "train", "scope": "equity", "scheduled_for": at(FRIDAY, 21), "sequence": 0,
           "session": FRIDAY, "state": "due", "attempt": 0, "token": 0, "counts": {}}  # fmt: skip
    with database.transaction() as connection:
        connection.execute(insert(runs).values(**{**row, **values}))


def change_run(database: Database, **values: Any) -> None:
    with database.transaction() as connection:
        connection.execute(update(runs).where(runs.c.id == 50).values(**values))


def test_a_poll_without_changes_has_no_events(watcher: Watcher) -> None:
    assert poll_events(watcher) == []


def test_only_the_first_heartbeat_is_news(watcher: Watcher, filled: Database) -> None:
    def beat(seconds: int) -> None:
        when = NOW + timedelta(days=9000, seconds=seconds)  # machine time is far from market time
        with filled.transaction() as connection:
            connection.execute(delete(schedulers))
            connection.execute(insert(schedulers).values(id="a", name="host:1", heartbeat_at=when, token=1))

    beat(0)
    (event,) = poll_events(watcher)
    assert (event[0], event[1]["scheduler"]["alive"]) == ("status", True)
    beat(5)
    assert poll_events(watcher) == []


def test_a_change_of_market_time_is_a_status(watcher: Watcher, filled: Database) -> None:
    move_clock(filled, NOW + timedelta(hours=1))
    (event,) = poll_events(watcher)
    assert (event[0], event[1]["now"]) == ("status", "2018-06-02T01:00:00Z")


def test_a_countdown_is_a_status_when_it_begins_and_not_at_each_second(watcher: Watcher, filled: Database) -> None:
    with filled.transaction() as connection:
        soon = DatabaseClock().now(connection) + timedelta(seconds=60)
        connection.execute(update(market_clock).values(next_move_at=soon))
    (event,) = poll_events(watcher)
    assert event[0] == "status"
    assert event[1]["next_edition_in_seconds"] == pytest.approx(60.0, abs=5.0)
    assert poll_events(watcher) == []


def test_each_edition_is_reported_once_in_order(watcher: Watcher, filled: Database) -> None:
    with filled.transaction() as connection:
        for number in (4, 5):
            publish(connection, Publish(number, FRIDAY, at(FRIDAY, 23), ("IBM",), revision=number))
    poll = watcher.poll()
    assert [event.kind for event in poll.news] == ["edition", "edition", "change", "status"]
    assert [json.loads(event.data)["number"] for event in poll.news[:2]] == [4, 5]
    assert {event.counter for event in poll.news} == {6}
    assert json.loads(poll.news[2].data) == {"counter": 6, "symbols": ["IBM"]}
    assert poll_events(watcher) == []


def test_a_database_that_fails_during_a_poll_loses_no_news(
    watcher: Watcher, filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise OperationalError("SELECT", {}, Exception("the server is gone"))

    with filled.transaction() as connection:
        publish(connection, Publish(4, FRIDAY, at(FRIDAY, 23), ("IBM",), revision=2))
    add_run(filled)
    for part in ("service.api.events.watcher.read_symbol_counters", "service.api.events.queries.read_changed_runs"):
        with monkeypatch.context() as broken:
            broken.setattr(part, fail)
            watcher.poll()
    assert [kind for kind, _ in poll_events(watcher)] == ["edition", "run", "change", "status"]


def test_a_run_is_reported_from_its_plan_to_its_end(watcher: Watcher, filled: Database) -> None:
    add_run(filled)
    assert poll_events(watcher) == [
        ("run", {"id": 50, "job": "train", "scope": "equity", "session": "2018-06-01", "state": "due", "error": None,
                 "warnings": [], "counts": {}}),
    ]  # fmt: skip
    assert poll_events(watcher) == []
    change_run(filled, state="waiting", error="the vendor is down")
    (event,) = poll_events(watcher)
    assert (event[0], event[1]["state"], event[1]["error"]) == ("run", "waiting", "the vendor is down")
    change_run(filled, state="done", counts={"trained": 3}, error=None)
    (event,) = poll_events(watcher)
    assert (event[1]["state"], event[1]["counts"]) == ("done", {"trained": 3})
    assert poll_events(watcher) == []


def test_ended_runs_are_not_reported_again_while_an_older_run_waits(watcher: Watcher, filled: Database) -> None:
    add_run(filled, state="waiting", job="pull")
    add_run(filled, id=51, state="done", job="pull", scope="24/7")
    assert [event[1]["id"] for event in poll_events(watcher)] == [50, 51]
    assert [poll_events(watcher) for _ in range(3)] == [[]] * 3


def test_a_replaced_database_is_reported_as_a_change_of_everything(watcher: Watcher, filled: Database) -> None:
    add_run(filled)
    with filled.transaction() as connection:
        publish(connection, Publish(9, FRIDAY, at(FRIDAY, 23), ("IBM",), revision=9))
    assert [kind for kind, _ in poll_events(watcher)] == ["edition", "run", "change", "status"]
    with filled.transaction() as connection:  # the ledger forbids deletion, so only the counters go back
        connection.execute(delete(change_counters))
        raise_changes(connection, ["AAPL"])
        connection.execute(delete(runs).where(runs.c.id == 50))
    assert poll_events(watcher)[0] == ("change", {"counter": 1, "symbols": None})
    with filled.transaction() as connection:
        raise_changes(connection, ["AAPL"])
    add_run(filled, id=49)
    assert poll_events(watcher) == [
        ("run", {"id": 49, "job": "train", "scope": "equity", "session": "2018-06-01", "state": "due", "error": None,
                 "warnings": [], "counts": {}}),
        ("change", {"counter": 2, "symbols": ["AAPL"]}),
    ]  # fmt: skip


def test_a_run_that_starts_and_ends_between_two_polls_is_reported(watcher: Watcher, filled: Database) -> None:
    add_run(filled, state="superseded", job="pull")
    (event,) = poll_events(watcher)
    assert (event[0], event[1]["state"]) == ("run", "superseded")


def test_progress_is_neither_a_run_event_nor_a_status(watcher: Watcher, filled: Database) -> None:
    lease = NOW + timedelta(days=20_000)
    own = {"progress": 0.0, "progress_detail": "begins"}
    add_run(filled, state="running", started_at=NOW, lease_until=lease, **own)
    run, progress, status = poll_events(watcher)
    assert (run[0], run[1]["counts"]) == ("run", {})
    assert progress == ("progress", {"run_id": 50, "progress": 0.0, "detail": "begins"})
    assert status[1]["training"]["progress"] == 0.0
    change_run(filled, progress=0.5, progress_detail="epoch 4")
    assert poll_events(watcher) == [("progress", {"run_id": 50, "progress": 0.5, "detail": "epoch 4"})]


def test_a_change_of_many_symbols_has_no_names(watcher: Watcher, filled: Database) -> None:
    names = [f"S{n:03d}" for n in range(MOST_SYMBOLS + 1)]
    with filled.transaction() as connection:
        raise_changes(connection, names[1:])
    assert json.loads(watcher.poll().news[0].data)["symbols"] == names[1:]
    with filled.transaction() as connection:
        raise_changes(connection, names)
    assert poll_events(watcher) == [("change", {"counter": 6, "symbols": None})]


def test_a_state_change_without_a_counter_change_is_a_status(watcher: Watcher, filled: Database) -> None:
    with filled.transaction() as connection:
        connection.execute(update(instruments).where(instruments.c.symbol == "MSFT").values(state="failing"))
    (event,) = poll_events(watcher)
    assert (event[0], event[1]["watchlist"]["failing"]) == ("status", 1)


def in_loop(run: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(run(), 20)

    asyncio.run(limited())


STATUS = Event("status", "{}", 1)


def news(number: int) -> Poll:
    return Poll(tuple(Event("run", "{}", 1) for _ in range(number)), STATUS, 1)


def test_a_slow_client_is_disconnected_with_a_message() -> None:
    async def run() -> None:
        subscription = Subscription(None)
        subscription.add(news(0))
        subscription.add(news(MOST_WAITING - 1))
        assert not subscription.ended
        subscription.add(news(1))
        assert subscription.ended
        subscription.add(news(5))
        (last,) = [event async for event in subscription.events()]
        assert last.kind == "fault"
        assert json.loads(last.data)["detail"].startswith("this stream is too far behind and ends")

    in_loop(run)


def test_a_closed_hub_ends_its_clients(filled: Database) -> None:
    async def run() -> None:
        hub = Hub(StatusReader(Reader(Settings(), filled), "1"), interval=0.01)
        first = hub.join(None)
        assert (await anext(first.events())).kind == "status"
        hub.close()
        assert first.ended
        assert [event async for event in hub.join(None).events()] == []
        hub.leave(first)

    in_loop(run)


def test_polling_stops_after_the_last_client_was_too_slow(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watcher, "poll", lambda _watcher: news(MOST_WAITING))

    async def run() -> None:
        hub = Hub(StatusReader(Reader(Settings(), filled), "1"), interval=0.01)
        slow = hub.join(None)
        while not slow.ended:
            await asyncio.sleep(0.01)
        assert hub._task is None
        assert [event.kind async for event in slow.events()] == ["fault"]
        hub.leave(slow)
        again = hub.join(None)
        assert (await anext(again.events())).kind == "status"
        hub.leave(again)

    in_loop(run)


def test_a_poll_with_an_unexpected_error_ends_no_stream(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = 0
    poll = Watcher.poll

    def failing(watcher: Watcher) -> Poll:
        nonlocal failures
        failures += 1
        if failures < 3:
            raise ZeroDivisionError
        return poll(watcher)

    monkeypatch.setattr(Watcher, "poll", failing)

    async def run() -> None:
        hub = Hub(StatusReader(Reader(Settings(), filled), "1"), interval=0.01)
        subscription = hub.join(None)
        assert (await anext(subscription.events())).kind == "status"
        hub.leave(subscription)

    in_loop(run)
    assert failures == 3
