"""Missed and stale forecasts."""

from datetime import UTC, date, datetime
from pathlib import Path

from service.alerts.detection.missing import emit_failed, emit_stale
from service.alerts.outbox import Instants
from service.forecasts.ledger import publish
from service.vocabulary import AlertKind
from tests.support.alert_factory import AT, events, subscribe
from tests.support.forecast_factory import Desk, Said, draft_of, utc

THURSDAY, FRIDAY, MONDAY = date(2018, 5, 31), date(2018, 6, 1), date(2018, 6, 4)


def test_a_run_that_is_too_late_misses_its_symbols(desk: Desk, tmp_path: Path) -> None:
    subscribe(desk.database, tmp_path, AlertKind.FORECAST_MISSED)
    desk.move(utc(2018, 6, 1, 15))
    assert desk.forecast(THURSDAY)["AAA"].state == "missed"
    found = events(desk.database, AlertKind.FORECAST_MISSED)
    assert [(event["symbol"], event["as_of"]) for event in found] == [("AAA", "2018-05-31"), ("BBB", "2018-05-31")]
    assert found[0]["reason"].startswith("T (2018-06-01) opened before this could be issued")


def test_a_failed_run_misses_the_symbols_without_a_forecast(desk: Desk, tmp_path: Path) -> None:
    subscribe(desk.database, tmp_path, AlertKind.FORECAST_MISSED)
    with desk.database.transaction() as connection:
        publish(connection, draft_of(Said("BBB", THURSDAY, (FRIDAY,), 1)), utc(2018, 5, 31, 22), AT)
        emit_failed(connection, "XNYS", THURSDAY, "disk full", Instants(utc(2018, 5, 31, 23), AT))
    (event,) = events(desk.database, AlertKind.FORECAST_MISSED)
    assert event["message"] == "AAA: no forecast from 2018-05-31: the run failed: disk full"


def test_the_newest_edition_is_stale_two_hours_after_the_next_is_due_and_is_reported_once(
    desk: Desk, tmp_path: Path
) -> None:
    subscribe(desk.database, tmp_path, AlertKind.FORECAST_STALE)
    with desk.database.transaction() as connection:
        publish(connection, draft_of(Said("AAA", THURSDAY, (FRIDAY,), 1)), utc(2018, 5, 31, 22), AT)
        back_filled = draft_of(Said("AAA", MONDAY, (FRIDAY,), 1), mode="backfill")
        publish(connection, back_filled, utc(2018, 5, 31, 22), AT)

    def check(now: datetime) -> int:
        calendars = desk.context.calendars
        with desk.database.transaction() as connection:
            emit_stale(
                connection,
                ["XNYS"],
                lambda name, day: calendars.final_at(name, calendars.next(name, day)),
                Instants(now, AT),
            )
        return len(events(desk.database, AlertKind.FORECAST_STALE))

    assert check(datetime(2018, 6, 1, 23, 29, tzinfo=UTC)) == 0  # Friday closes at 20:00, is due at 21:30
    assert check(datetime(2018, 6, 1, 23, 30, tzinfo=UTC)) == 1
    assert check(datetime(2018, 6, 2, 12, 0, tzinfo=UTC)) == 1
    (event,) = events(desk.database, AlertKind.FORECAST_STALE)
    assert event["message"] == ("the newest forecasts of XNYS are from 2018-05-31 and stale since 2018-06-01T23:30:00Z")
