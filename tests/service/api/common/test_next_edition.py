"""When the next edition comes: market time, and real seconds of a live and of a replayed clock."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import delete, insert, update

from service.api.common.next_edition import NextEdition, NextEditions
from service.clock import DatabaseClock
from service.db.session import Database
from service.db.tables import instruments, market_clock, runs, sessions, stamp
from service.settings import Settings
from tests.support.api.ledger_factory import FRIDAY, MONDAY, NOW, at

DUE = datetime(2018, 6, 4, 21, 30, tzinfo=UTC)
"""Monday's close of New York, 20:00 UTC, and 90 minutes."""


def read(database: Database, *calendars: str, now: datetime = NOW, speed: float = 6.0) -> NextEdition:
    with database.reading() as connection:
        settings = Settings(clock=f"replay:2018-06-01:{speed}")
        return NextEditions(connection, settings, now).first(calendars or ("XNYS",))


def set_next_move(database: Database, seconds: float) -> None:
    with database.transaction() as connection:
        moved = DatabaseClock().now(connection) + timedelta(seconds=seconds)
        connection.execute(update(market_clock).values(next_move_at=moved))


def only_new_york(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(update(instruments).values(active=instruments.c.calendar == "XNYS", reference=False))


def test_a_replayed_clock_counts_its_next_move_and_the_events_after_it(filled: Database) -> None:
    only_new_york(filled)
    set_next_move(filled, 2.0)
    found = read(filled)
    assert found.at == DUE
    # Monday's open is in 2 s; its close + 90 min takes half of that day's 6 s more.
    assert found.in_seconds == pytest.approx(5.0, abs=0.5)
    assert read(filled, now=at(MONDAY, 13, 30)).in_seconds == pytest.approx(2.0, abs=0.5)


def test_a_move_that_is_overdue_counts_as_now(filled: Database) -> None:
    only_new_york(filled)
    set_next_move(filled, -100.0)
    assert read(filled).in_seconds == pytest.approx(3.0)


def test_while_a_run_holds_the_clock_the_seconds_are_unknown(filled: Database) -> None:
    set_next_move(filled, 2.0)
    row = {"id": 9, "job": "train", "scope": "equity", "scheduled_for": at(FRIDAY, 21, 30), "sequence": 0,
           "session": FRIDAY,
           "state": "running", "attempt": 1, "token": 1, "counts": {}}  # fmt: skip
    with filled.transaction() as connection:
        connection.execute(insert(runs).values(**row))
    assert read(filled) == NextEdition(DUE, None)


def test_during_the_fast_start_the_seconds_are_unknown(filled: Database) -> None:
    assert read(filled) == NextEdition(DUE, None)


def test_the_earliest_of_several_calendars_counts(filled: Database) -> None:
    assert read(filled, "XNYS", "24/7").at == datetime(2018, 6, 3, tzinfo=UTC)
    assert read(filled, "XTKS") == NextEdition()


def test_a_closed_session_has_no_edition(filled: Database) -> None:
    with filled.transaction() as connection:
        monday = (sessions.c.calendar == "XNYS", sessions.c.session == MONDAY)
        connection.execute(update(sessions).where(*monday).values(state="closed"))
    assert read(filled).at == DUE + timedelta(days=1)


def test_nothing_comes_after_the_end_of_a_record(filled: Database) -> None:
    with filled.transaction() as connection:
        connection.execute(update(market_clock).values(record_end=date(2018, 6, 1)))
    assert read(filled) == NextEdition()


def test_a_live_clock_counts_market_time(filled: Database) -> None:
    with filled.transaction() as connection:
        connection.execute(update(stamp).values(clock_mode="system"))
        connection.execute(delete(market_clock))
    assert read(filled, now=DUE - timedelta(hours=2)) == NextEdition(DUE, 7200.0)
    assert read(filled, now=DUE).at == DUE + timedelta(days=1)
