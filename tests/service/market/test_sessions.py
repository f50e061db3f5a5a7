"""Stored sessions: written once, left out once closed."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select

from service.db.session import Database
from service.db.tables import sessions
from service.errors import CalendarError
from service.market.exchange_calendar import get_calendar
from service.market.sessions import ensure_sessions, final_sessions, mark_closed, reopen, sessions_after, settle_of
from service.settings import Settings

SETTLE = timedelta(minutes=90)
NEW_YORK = get_calendar("XNYS", date(2024, 1, 1))


def ensure(database: Database, first: date, last: date) -> int:
    with database.transaction() as connection:
        return ensure_sessions(connection, NEW_YORK, first, last)


def test_only_what_is_missing_is_written(database: Database) -> None:
    assert ensure(database, date(2024, 1, 8), date(2024, 1, 16)) == 6  # the 15th is a holiday
    assert ensure(database, date(2024, 1, 8), date(2024, 1, 16)) == 0
    assert ensure(database, date(2024, 1, 5), date(2024, 1, 17)) == 2
    assert ensure(database, date(2024, 1, 6), date(2024, 1, 7)) == 0
    with database.reading() as connection:
        rows = connection.execute(select(sessions).order_by(sessions.c.session)).all()
    assert [row.session.day for row in rows] == [5, 8, 9, 10, 11, 12, 16, 17]
    opened = datetime(2024, 1, 5, 14, 30, tzinfo=UTC)
    assert tuple(rows[0])[2:] == (opened, datetime(2024, 1, 5, 21, tzinfo=UTC), "expected", False)


def test_a_half_day_closes_early(database: Database) -> None:
    ensure(database, date(2024, 11, 29), date(2024, 11, 29))
    with database.reading() as connection:
        assert connection.execute(select(sessions.c.close_at)).scalar_one() == datetime(2024, 11, 29, 18, tzinfo=UTC)


@pytest.mark.parametrize(("minute", "last"), [(29, 9), (30, 10)])
def test_final_is_close_and_settle(database: Database, minute: int, last: int) -> None:
    ensure(database, date(2024, 1, 8), date(2024, 1, 12))
    until = datetime(2024, 1, 10, 22, minute, tzinfo=UTC)
    with database.reading() as connection:
        assert final_sessions(connection, "XNYS", until, SETTLE)[-1] == date(2024, 1, last)
        assert final_sessions(connection, "XNYS", until, SETTLE, limit=1) == (date(2024, 1, last),)
        assert final_sessions(connection, "XTKS", until, SETTLE) == ()


def test_a_closed_session_counts_nowhere(database: Database) -> None:
    ensure(database, date(2024, 1, 8), date(2024, 1, 12))
    with database.transaction() as connection:
        assert mark_closed(connection, "XNYS", [date(2024, 1, 9), date(2024, 1, 15)]) == 1
        assert mark_closed(connection, "XNYS", [date(2024, 1, 9)]) == 0
        days = final_sessions(connection, "XNYS", datetime(2024, 1, 13, tzinfo=UTC), SETTLE)
        assert [day.day for day in days] == [8, 10, 11, 12]
        assert [row[0].day for row in sessions_after(connection, "XNYS", date(2024, 1, 8), 2)] == [10, 11]
        assert ensure_sessions(connection, NEW_YORK, date(2024, 1, 8), date(2024, 1, 12)) == 0
        assert reopen(connection, "XNYS", [date(2024, 1, 9), date(2024, 1, 10)]) == 1
        assert [row[0].day for row in sessions_after(connection, "XNYS", date(2024, 1, 8), 2)] == [9, 10]


def test_too_few_sessions_ahead(database: Database) -> None:
    ensure(database, date(2024, 1, 8), date(2024, 1, 12))
    with database.reading() as connection, pytest.raises(CalendarError, match="2 sessions after 2024-01-11"):
        sessions_after(connection, "XNYS", date(2024, 1, 11), 2)


def test_the_settle_delay_of_a_calendar() -> None:
    settle = settle_of(Settings(settle_minutes=80, settle_minutes_continuous=20))
    minutes = [settle(name) // timedelta(minutes=1) for name in ("XNYS", "24/7", "24/5")]
    assert minutes == [80, 20, 20]
