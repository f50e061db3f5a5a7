"""A source that goes down and comes up: one event each, in the run's transactions."""

from datetime import UTC, datetime
from pathlib import Path

from service.alerts.detection.source import down_since, source_came_up, source_went_down
from service.alerts.outbox import Instants
from service.db.session import Database
from service.vocabulary import AlertKind
from tests.support.alert_factory import AT, MARKET, bodies, deliveries, subscribe

LATER = Instants(datetime(2018, 6, 2, 1, tzinfo=UTC), AT)


def test_an_outage_is_one_event_and_its_end_another(database: Database, tmp_path: Path) -> None:
    subscribe(database, tmp_path, AlertKind.SOURCE_DOWN)
    with database.transaction() as connection:
        source_came_up(connection, "XNYS", LATER)  # it was not down
        source_went_down(connection, "XNYS", "AAPL: no answer", Instants(MARKET, AT))
        source_went_down(connection, "XNYS", "AAPL: no answer", LATER)
        assert down_since(connection, "XNYS") == MARKET
        source_came_up(connection, "XNYS", LATER)
        source_came_up(connection, "XNYS", LATER)
        assert down_since(connection, "XNYS") is None
    assert [event["message"] for body in bodies(database) for event in body["data"]["events"]] == [
        "prices of XNYS are not arriving: AAPL: no answer",
        "prices of XNYS are arriving again; they were missing since 2018-06-01T21:30:00Z",
    ]
    assert [row.kind for row in deliveries(database)] == ["source_down", "source_up"]


def test_the_next_outage_is_a_new_event(database: Database, tmp_path: Path) -> None:
    subscribe(database, tmp_path, AlertKind.SOURCE_DOWN)
    for at in (Instants(MARKET, AT), LATER):
        with database.transaction() as connection:
            source_went_down(connection, "XNYS", "no answer", at)
            source_came_up(connection, "XNYS", at)
    assert len(deliveries(database)) == 4
