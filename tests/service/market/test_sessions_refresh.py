"""Assumed sessions are updated from a later release of the calendar, except those with a score."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from sqlalchemy import select

from models.config import Strategy
from service.db.session import Database
from service.db.tables import sessions
from service.forecasts.ledger import publish
from service.market.session_calendar import DateBounds, Exactness, MarketCalendar, SessionTable
from service.market.sessions import ensure_sessions, refresh_sessions
from tests.support.forecast_factory import Desk, History, Said, draft_of, open_desk, random_closes
from tests.support.score_batches import add_scores

FIRST, LAST = date(2030, 1, 1), date(2030, 1, 31)
WEEKDAYS = [date(2030, 1, day) for day in (7, 8, 9, 10, 11)]
LATER_DAYS = [date(2030, 1, day) for day in (7, 8, 10, 11, 12)]  # the 9th is a holiday, Saturday the 12th a trading day


def calendar(days: list[date], exactness: Exactness, opens: int = 14) -> MarketCalendar:
    at = np.array(days, "datetime64[D]")
    hours = [at.astype("datetime64[s]") + np.timedelta64(hour, "h") for hour in (opens, 21)]
    return MarketCalendar("XTST", DateBounds(FIRST, LAST), SessionTable(at, *hours), ZoneInfo("UTC"), exactness)


OLDER = calendar(WEEKDAYS, Exactness(None, None))
NEWER = calendar(LATER_DAYS, Exactness(FIRST, LAST), opens=15)


@dataclass
class Stored:
    database: Database

    def ensure(self, calendar: MarketCalendar) -> tuple[int, int]:
        with self.database.transaction() as connection:
            updated = refresh_sessions(connection, calendar, FIRST, LAST)
            return updated, ensure_sessions(connection, calendar, FIRST, LAST)

    def rows(self) -> list[Any]:
        with self.database.reading() as connection:
            columns = (sessions.c.session, sessions.c.open_at, sessions.c.state, sessions.c.approximate)
            query = select(*columns).where(sessions.c.calendar == "XTST").order_by(sessions.c.session)
            return [(row[0].day, row[1].hour, row[2], row[3]) for row in connection.execute(query)]


@pytest.fixture
def stored(database: Database) -> Stored:
    """Store five assumed weekdays."""
    found = Stored(database)
    assert found.ensure(OLDER) == (0, 5)
    assert found.rows() == [(day, 14, "expected", True) for day in (7, 8, 9, 10, 11)]
    return found


def test_hours_are_corrected_a_holiday_is_closed_and_missing_sessions_are_inserted(stored: Stored) -> None:
    assert stored.ensure(OLDER) == (0, 0)
    assert stored.ensure(NEWER) == (5, 1)
    assert stored.rows() == [
        (7, 15, "expected", False),
        (8, 15, "expected", False),
        (9, 14, "closed", True),
        (10, 15, "expected", False),
        (11, 15, "expected", False),
        (12, 15, "expected", False),
    ]
    assert stored.ensure(NEWER) == (0, 0)


def test_only_exact_dates_are_updated(stored: Stored) -> None:
    assert stored.ensure(calendar(WEEKDAYS, Exactness(FIRST, date(2030, 1, 8)), opens=15)) == (2, 0)
    assert [row[1] for row in stored.rows()] == [15, 15, 14, 14, 14]


def test_a_session_with_a_score_does_not_change(database: Database, tmp_path: Any) -> None:
    desk = open_desk(database, tmp_path)
    desk.add(History("AAA", date(2018, 5, 31), random_closes(60, 1)))
    desk.add_walk(Strategy.MULTI_STEP)
    assume(desk, [date(2018, 6, 1), date(2018, 6, 4)])
    said = Said("AAA", date(2018, 5, 31), (date(2018, 6, 1), date(2018, 6, 4)), 1)
    at = datetime(2018, 5, 31, 23, tzinfo=UTC)
    with database.transaction() as connection:
        publish(connection, draft_of(said), at, at)
        score = {"forecast_id": 1, "revision": 1, "state": "scored", "scored_at": at, "recorded_at": at}
        add_scores(connection, [score], at)
        calendars = desk.context.calendars.get("XNYS")
        assert refresh_sessions(connection, calendars, date(2018, 5, 1), date(2018, 6, 15)) == 1
        query = select(sessions.c.session).where(sessions.c.approximate)
        assert connection.execute(query).scalars().all() == [date(2018, 6, 1)]


def assume(desk: Desk, days: list[date]) -> None:
    with desk.database.transaction() as connection:
        mine = (sessions.c.calendar == "XNYS", sessions.c.session.in_(days))
        connection.execute(sessions.update().where(*mine).values(approximate=True))
