"""The outbox: one event per key, one delivery per subscription and kind, nothing after a rollback."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from service.alerts.outbox import AlertEvent, Instants, emit
from service.db.session import Database
from service.db.tables import alert_deliveries, alert_events
from service.vocabulary import AlertKind, AlertScope
from tests.support.alert_factory import AT, MARKET, bodies, deliveries, events, numbered, publish, subscribe
from tests.support.forecast_factory import Desk, History, open_desk


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    """Return a desk with two symbols of New York and one of Tokyo."""
    opened = open_desk(database, tmp_path)
    for symbol, calendar, group in (("AAA", "XNYS", "equity"), ("BBB", "XNYS", "others"), ("7203.T", "XTKS", "equity")):
        opened.add(History(symbol, MARKET.date(), [100.0] * 3, calendar, group))
    return opened


def count(database: Database) -> tuple[int, int]:
    with database.reading() as connection:
        return tuple(
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (alert_events, alert_deliveries)
        )  # type: ignore[return-value]


def emit_and_fail(database: Database) -> None:
    with database.transaction() as connection:
        assert emit(connection, [numbered(1)], Instants(MARKET, AT)) == 1
        raise RuntimeError


def test_the_body_is_a_standard_webhook_payload(database: Database, tmp_path: Path) -> None:
    subscribe(database, tmp_path, AlertKind.SOURCE_DOWN)
    publish(database, numbered(1))
    assert bodies(database) == [
        {
            "type": "source_down",
            "timestamp": "2026-01-02T22:00:00Z",
            "data": {
                "mode": "live",
                "market_time": "2018-06-01T21:30:00Z",
                "subscription": {"id": 1, "name": "night shift"},
                "events": [
                    {"key": "source_down:XNYS:1", "message": "event 1", "calendar": "XNYS", "number": 1},
                ],
            },
        }
    ]
    (row,) = deliveries(database)
    assert (row.state, row.attempts, row.next_attempt_at, row.events) == ("pending", 0, AT, 1)


def test_an_event_is_written_once_however_often_it_is_detected(database: Database, tmp_path: Path) -> None:
    subscribe(database, tmp_path, AlertKind.SOURCE_DOWN)
    assert publish(database, numbered(1), numbered(1)) == 1
    assert publish(database, numbered(1), numbered(2)) == 1
    assert [event["number"] for event in events(database, AlertKind.SOURCE_DOWN)] == [1, 2]
    assert count(database) == (2, 2)


def test_without_a_subscription_nothing_is_written(database: Database, tmp_path: Path) -> None:
    assert publish(database, numbered(1)) == 0
    subscribe(database, tmp_path, AlertKind.FORECAST_MISSED)
    assert publish(database, numbered(1)) == 0
    assert count(database) == (0, 0)


def test_a_transaction_that_fails_leaves_no_event(database: Database, tmp_path: Path) -> None:
    subscribe(database, tmp_path, AlertKind.SOURCE_DOWN)
    with pytest.raises(RuntimeError):
        emit_and_fail(database)
    assert count(database) == (0, 0)


def test_events_of_one_transaction_come_together_by_kind_up_to_100(database: Database, tmp_path: Path) -> None:
    subscribe(database, tmp_path)
    many = [numbered(number) for number in range(250)]
    assert publish(database, *many, numbered(0, AlertKind.SOURCE_UP)) == 4
    assert [(row.kind, row.events) for row in deliveries(database)] == [
        ("source_down", 100), ("source_down", 100), ("source_down", 50), ("source_up", 1),
    ]  # fmt: skip
    assert len({row.message_id for row in deliveries(database)}) == 4


def test_a_scope_takes_its_own_symbols_groups_and_calendars(desk: Desk, tmp_path: Path) -> None:
    database = desk.database
    scopes = [
        (AlertScope.SYMBOL, "AAA"),
        (AlertScope.GROUP, "equity"),
        (AlertScope.SYMBOL, "7203.T"),
        (AlertScope.ALL, None),
    ]
    for scope in scopes:
        subscribe(database, tmp_path, scope=scope)
    publish(
        database,
        AlertEvent(AlertKind.FORECAST_MISSED, "1", "AAA", symbol="AAA", calendar="XNYS"),
        AlertEvent(AlertKind.FORECAST_MISSED, "2", "BBB", symbol="BBB", calendar="XNYS"),
        AlertEvent(AlertKind.CHAMPION_CHANGED, "3", "equity", group="equity"),
        AlertEvent(AlertKind.SOURCE_DOWN, "4", "Tokyo", calendar="XTKS"),
        AlertEvent(AlertKind.SOURCE_DOWN, "5", "London", calendar="XLON"),
    )
    taken: dict[int, list[str]] = {}
    for body in bodies(database):
        data = body["data"]
        taken.setdefault(data["subscription"]["id"], []).extend(event["message"] for event in data["events"])
        assert data["mode"] == "replay"
    assert taken == {
        1: ["AAA", "equity"],
        2: ["AAA", "equity", "Tokyo"],
        3: ["equity", "Tokyo"],
        4: ["AAA", "BBB", "equity", "Tokyo", "London"],
    }


def test_an_interval_goes_to_the_subscriptions_of_its_level(database: Database, tmp_path: Path) -> None:
    for level in (80, 95):
        subscribe(database, tmp_path, AlertKind.CLOSE_LEFT_INTERVAL, interval=level)
    publish(database, AlertEvent(AlertKind.CLOSE_LEFT_INTERVAL, "AAA:80", "m", symbol="AAA", interval=80))
    assert [row.subscription_id for row in deliveries(database)] == [1]
