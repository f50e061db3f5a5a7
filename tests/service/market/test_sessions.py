"""Stored sessions: written once, left out once closed."""

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import select

from service.db.session import Database
from service.db.tables import sessions
from service.market.exchange_calendar import get_calendar
from service.market.instruments import add_symbols
from service.market.sessions import closed_sessions, ensure_sessions, mark_closed, reopen

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


def test_closed_sessions_are_marked_and_reopened(database: Database) -> None:
    ensure(database, date(2024, 1, 8), date(2024, 1, 12))
    with database.transaction() as connection:
        add_symbols(connection, ["AAPL"], datetime(2024, 1, 8, tzinfo=UTC), {})  # closures of calendars in use are read
        assert mark_closed(connection, "XNYS", [date(2024, 1, 9), date(2024, 1, 15)]) == 1
        assert mark_closed(connection, "XNYS", [date(2024, 1, 9)]) == 0
        assert closed_sessions(connection, date(2024, 1, 9)) == {"XNYS": {date(2024, 1, 9)}}
        assert closed_sessions(connection, date(2024, 1, 10)) == {}
        assert ensure_sessions(connection, NEW_YORK, date(2024, 1, 8), date(2024, 1, 12)) == 0
        assert reopen(connection, "XNYS", [date(2024, 1, 9), date(2024, 1, 10)]) == 1
        assert closed_sessions(connection, date(2024, 1, 9)) == {}
