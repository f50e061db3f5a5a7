"""Replayed market time: moves from event to event, stops for unfinished work, ends with the record."""

import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from service.db.session import Database
from service.db.tables import market_clock
from service.prices.repository import has_bar
from service.runs import Claimant, claim, wait
from service.scheduler.due import MarketEvent
from service.scheduler.replay_clock import ReplayMover, read_clock
from service.scheduler.state import GroupReader
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import MACHINE_START, Service, ServiceOptions, make_service

EVENTS = [
    datetime(2024, 3, day, hour, 30, tzinfo=UTC) for day in (4, 5, 6) for hour in (14, 22)
]  # the service starts on Friday evening; the record ends on Wednesday


def test_market_time_stops_at_every_event_and_ends_with_the_record(service: Service) -> None:
    scheduler = service.scheduler()
    mover = ReplayMover(service.context, scheduler.id, GroupReader())
    service.work(scheduler)
    seen = []
    while (left := mover.move()) is not None:
        assert left == 0.0
        seen.append(service.context.market_now())
        service.work(scheduler)
    scheduler.close()
    assert seen == EVENTS
    assert mover.ended
    assert mover.move() is None


def test_market_time_does_not_move_while_a_run_is_due_or_running(service: Service) -> None:
    scheduler = service.scheduler()
    mover = ReplayMover(service.context, scheduler.id, GroupReader())
    scheduler.step()  # the pull is done, score and forecast are due
    assert mover.move() is None
    assert not mover.ended
    assert service.context.market_now() == datetime(2024, 3, 1, 22, 30, tzinfo=UTC)
    service.work(scheduler)
    assert mover.move() == 0.0
    scheduler.close()


def test_a_waiting_run_does_not_stop_market_time(service: Service) -> None:
    scheduler = service.scheduler()
    mover = ReplayMover(service.context, scheduler.id, GroupReader())
    service.work(scheduler)
    assert mover.move() == 0.0
    assert mover.move() == 0.0  # to Monday's final instant, where three runs come due
    scheduler.step()
    scheduler.step()
    with service.database.transaction() as connection:
        now = service.context.market.now(connection)
        run = claim(connection, Claimant("me", ("forecast",), timedelta(30)), now, MACHINE_START)
        assert run is not None
        assert mover.move() is None
        wait(connection, run, now + timedelta(hours=1), {})
    assert mover.move() == 0.0
    scheduler.close()


@pytest.mark.parametrize(("speed", "events", "low", "high"), [(10.0, 2, 4.5, 5.0), (10.0, 4, 2.0, 2.5), (0, 2, -9, 0)])
def test_the_events_of_a_day_share_its_seconds(
    database: Database, tmp_path: Path, source: RecordedWalks, speed: float, events: int, low: float, high: float
) -> None:
    made = make_service(database, tmp_path, source, ServiceOptions("2024-03-01", ("AAA",)))
    settings = made.context.settings.model_copy(update={"clock": f"replay:2024-03-01:{speed}"})
    mover = ReplayMover(replace(made.context, settings=settings), "me", GroupReader())
    assert low <= mover.seconds_left(MarketEvent(EVENTS[0], events)) <= high


def test_before_an_event_is_due_move_returns_the_seconds_to_wait(
    database: Database, tmp_path: Path, source: RecordedWalks
) -> None:
    made = make_service(database, tmp_path, source, ServiceOptions("2024-03-02T12:00:00Z", ("AAA",)))
    made.work(scheduler := made.scheduler())
    settings = made.context.settings.model_copy(update={"clock": "replay:2024-03-01:600"})
    left = ReplayMover(replace(made.context, settings=settings), scheduler.id, GroupReader()).move()
    scheduler.close()
    assert left is not None
    assert 290 < left <= 300
    assert made.context.market_now() == datetime(2024, 3, 2, 12, tzinfo=UTC)


def test_a_replay_without_symbols_does_not_end(database: Database, tmp_path: Path, source: RecordedWalks) -> None:
    made = make_service(database, tmp_path, source, ServiceOptions("2024-03-01", ()))
    mover = ReplayMover(made.context, "me", GroupReader())
    assert mover.move() is None
    assert not mover.ended


def test_a_scheduler_without_the_lead_does_not_move_market_time(service: Service) -> None:
    leader = service.scheduler()
    service.work(leader)
    other = ReplayMover(service.context, "another", GroupReader())
    before = service.context.market_now()
    assert other.move() is None
    assert service.context.market_now() == before
    assert ReplayMover(service.context, leader.id, GroupReader()).move() == 0.0
    leader.close()


def test_no_instant_is_passed_before_its_runs_are_planned(service: Service) -> None:
    scheduler = service.scheduler()
    service.work(scheduler)
    mover = ReplayMover(service.context, scheduler.id, GroupReader())
    assert mover.move() == 0.0
    assert mover.move() == 0.0
    assert service.context.market_now() == EVENTS[1]
    assert mover.move() is None  # the call itself plans Monday's runs, which then stop the clock
    assert service.context.market_now() == EVENTS[1]
    scheduler.close()


def test_a_record_that_grows_is_followed(service: Service, source: RecordedWalks) -> None:
    """The record ends on Wednesday 2024-03-06; then Thursday and Friday are added."""
    scheduler = service.scheduler()
    mover = ReplayMover(service.context, scheduler.id, GroupReader(), follow_seconds=0.0)
    service.replay(scheduler, datetime(2024, 3, 31, tzinfo=UTC))
    assert service.context.market_now() == EVENTS[-1]
    assert mover.move() is None
    assert mover.ended
    source.put(Walk("AAA", date(2023, 9, 1), date(2024, 3, 8), seed=1))
    seen = []
    while mover.move() is not None:
        service.work(scheduler)
        seen.append(service.context.market_now())
        assert not (mover.ended and seen[-1] > EVENTS[-1])
    scheduler.close()
    assert list(dict.fromkeys(seen)) == [EVENTS[-1]] + [
        datetime(2024, 3, day, hour, 30, tzinfo=UTC) for day in (7, 8) for hour in (14, 22)
    ]
    with service.database.reading() as connection:
        assert read_clock(connection)[1] == date(2024, 3, 8)
        assert has_bar(connection, "AAA", date(2024, 3, 8))


def test_an_ended_record_is_looked_at_from_time_to_time(service: Service, source: RecordedWalks) -> None:
    scheduler = service.scheduler()
    mover = ReplayMover(service.context, scheduler.id, GroupReader())
    service.replay(scheduler, datetime(2024, 3, 31, tzinfo=UTC))
    assert mover.move() is None
    source.put(Walk("AAA", date(2023, 9, 1), date(2024, 3, 8), seed=1))
    assert mover.move() is None  # within half a minute of the last look
    scheduler.close()


def test_a_record_that_cannot_be_read_at_its_end_does_not_stop_the_service(
    service: Service, source: RecordedWalks
) -> None:
    class Unreadable(RecordedWalks):
        def begin_run(self) -> None:
            raise OSError("the folder is gone")

    scheduler = service.scheduler()
    service.replay(scheduler, datetime(2024, 3, 31, tzinfo=UTC))
    context = replace(service.context, source=Unreadable([]))
    mover = ReplayMover(context, scheduler.id, GroupReader())
    assert mover.move() is None
    assert mover.ended
    scheduler.close()


def test_a_replay_without_a_speed_starts_fast_and_then_announces_its_moves(
    database: Database, tmp_path: Path, source: RecordedWalks
) -> None:
    made = make_service(database, tmp_path, source, ServiceOptions("2024-03-01T12:00:00Z", ("AAA",)))
    settings = made.context.settings.model_copy(update={"clock": "replay:2024-03-01T12:00:00Z"})
    assert settings.market_clock.fast_sessions == 64
    scheduler = made.scheduler()
    mover = ReplayMover(replace(made.context, settings=settings), scheduler.id, GroupReader())
    mover._clock = replace(settings.market_clock, fast_sessions=2)
    left: list[float | None] = [0.0]
    while left[-1] == 0.0:
        made.work(scheduler)
        before = time.monotonic()
        left.append(mover.move())
        after = time.monotonic()
    # Friday and Monday are fast; Tuesday's open is half of a day's 5 s away.
    assert made.context.market_now() == datetime(2024, 3, 4, 22, 30, tzinfo=UTC)
    assert left[-1] is not None
    assert mover._moved_at + 2.5 - after <= left[-1] <= mover._moved_at + 2.5 - before
    assert (announced := next_move_at(database)) is not None
    assert mover.move() is not None
    assert next_move_at(database) == announced  # written once
    mover._moved_at -= 3.0
    assert mover.move() == 0.0
    assert next_move_at(database) is None
    scheduler.close()


def next_move_at(database: Database) -> datetime | None:
    with database.reading() as connection:
        found: datetime | None = connection.execute(select(market_clock.c.next_move_at)).scalar_one()
    return found
