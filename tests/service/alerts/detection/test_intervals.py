"""Closes outside their interval: from the score job, one event per symbol, session and level."""

from datetime import date
from pathlib import Path

import pytest

from service.forecasts.ledger import publish
from service.vocabulary import AlertKind
from tests.support.alert_factory import deliveries, events, subscribe
from tests.support.forecast_factory import Desk, Said, draft_of, utc

THURSDAY, FRIDAY = date(2018, 5, 31), date(2018, 6, 1)
SHAPE = (-0.06, -0.04, -0.02, 0.0, 0.02, 0.04, 0.06)


def said(symbol: str, *, served: bool = True, revision: int = 1, strategy: str = "one_step") -> Said:
    return Said(symbol, THURSDAY, (FRIDAY,), 1, strategy, revision, SHAPE, served=served)


def issue(desk: Desk, *given: Said, mode: str = "replay") -> None:
    with desk.database.transaction() as connection:
        publish(connection, draft_of(*given, mode=mode), utc(2018, 5, 31, 22), utc(2026, 1, 2))


def score(desk: Desk, **closes: float) -> None:
    """Set Friday's closes and score them."""
    for symbol, close in closes.items():
        desk.correct(symbol, FRIDAY, close)
    desk.move(utc(2018, 6, 1, 22))
    desk.score(FRIDAY)


def test_a_close_below_its_interval_is_an_event_with_both_prices(desk: Desk, tmp_path: Path) -> None:
    subscribe(desk.database, tmp_path, AlertKind.CLOSE_LEFT_INTERVAL)
    issue(desk, said("AAA"), said("BBB"))
    score(desk, AAA=90.0, BBB=95.0)  # log returns -0.105 and -0.051; the 95 % interval ends at -0.06
    (event,) = events(desk.database, AlertKind.CLOSE_LEFT_INTERVAL)
    assert event == {
        "key": "close_left_interval:AAA:2018-06-01:95",
        "message": "AAA closed at 90 on 2018-06-01, below its 95 % interval 94.18 to 106.2 "
        "(dividends added to the close)",
        "symbol": "AAA",
        "calendar": "XNYS",
        "session": "2018-06-01",
        "as_of": "2018-05-31",
        "edition": 1,
        "interval": 95,
        "side": "below",
        "actual_return": pytest.approx(-0.10536, abs=1e-5),
        "lower_return": -0.06,
        "upper_return": 0.06,
    }


def test_each_subscription_has_its_level(desk: Desk, tmp_path: Path) -> None:
    for level in (50, 80, 95):
        subscribe(desk.database, tmp_path, AlertKind.CLOSE_LEFT_INTERVAL, interval=level)
    issue(desk, said("AAA"), said("BBB"))
    score(desk, AAA=105.0, BBB=103.0)  # log returns 0.049 and 0.030
    found = [
        (event["interval"], event["symbol"], event["side"])
        for event in events(desk.database, AlertKind.CLOSE_LEFT_INTERVAL)
    ]
    assert found == [(50, "AAA", "above"), (50, "BBB", "above"), (80, "AAA", "above")]


def test_a_corrected_close_is_no_second_event(desk: Desk, tmp_path: Path) -> None:
    subscribe(desk.database, tmp_path, AlertKind.CLOSE_LEFT_INTERVAL)
    issue(desk, said("AAA"))
    score(desk, AAA=90.0)
    desk.correct("AAA", FRIDAY, 80.0)
    desk.score(FRIDAY, sequence=1)
    assert len(events(desk.database, AlertKind.CLOSE_LEFT_INTERVAL)) == 1


def test_a_backfill_and_what_was_not_served_never_alert(desk: Desk, tmp_path: Path) -> None:
    subscribe(desk.database, tmp_path)
    issue(desk, said("AAA"), mode="backfill")
    issue(desk, said("BBB", served=False), said("BBB", strategy="multi_step", revision=2))
    score(desk, AAA=50.0, BBB=50.0)
    assert deliveries(desk.database) == []


def test_the_last_revision_of_a_forecast_counts(desk: Desk, tmp_path: Path) -> None:
    subscribe(desk.database, tmp_path, AlertKind.CLOSE_LEFT_INTERVAL)
    wide = Said("AAA", THURSDAY, (FRIDAY,), 1, "one_step", 2, (-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3))
    issue(desk, said("AAA"))
    issue(desk, wide)
    score(desk, AAA=90.0)
    assert deliveries(desk.database) == []
