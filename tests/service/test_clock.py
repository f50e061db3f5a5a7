"""Machine time and market time: where each is read, and that they stay apart."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, update

from service.clock import DatabaseClock, ReplayMarketClock, SystemMarketClock, process_now
from service.db.session import Database
from service.db.tables import market_clock
from service.errors import DatabaseError
from tests.support.service_factory import MACHINE_START, ManualClock

MARKET = datetime(2012, 3, 1, 22, 30, tzinfo=UTC)


def test_the_database_clock_is_aware_and_advances(database: Database) -> None:
    before = process_now()
    with database.reading() as connection:
        now = DatabaseClock().now(connection)
    assert now.utcoffset() == timedelta(0)
    assert before <= now <= process_now()


def test_live_market_time_is_machine_time(database: Database) -> None:
    with database.reading() as connection:
        assert SystemMarketClock(ManualClock()).now(connection) == MACHINE_START


def test_replayed_market_time_is_the_stored_row(database: Database) -> None:
    clock = ReplayMarketClock()
    with database.transaction() as connection:
        connection.execute(insert(market_clock).values(id=1, now=MARKET, record_end=None))
        assert clock.now(connection) == MARKET
        connection.execute(update(market_clock).values(now=MARKET + timedelta(days=1)))
        assert clock.now(connection) == MARKET + timedelta(days=1)


def test_replay_without_a_row_is_refused(database: Database) -> None:
    with database.reading() as connection, pytest.raises(DatabaseError, match="use a new database"):
        ReplayMarketClock().now(connection)
