"""The sequential test of coverage: counted in order and once, with an alarm per drift."""

from datetime import date, timedelta
from pathlib import Path

from sqlalchemy import select

from service.alerts.detection.coverage import coverage_events
from service.alerts.detection.intervals import ScoredForecast
from service.alerts.outbox import AlertEvent
from service.alerts.subscriptions import read_subscriptions
from service.db.tables import alert_coverage
from service.vocabulary import AlertKind, AlertScope
from tests.support.alert_factory import subscribe
from tests.support.forecast_factory import Desk

FIRST = date(2018, 6, 4)


def outcome(day: int, inside: bool, symbol: str = "AAA") -> ScoredForecast:
    session = FIRST + timedelta(days=day)
    levels = {50: inside, 80: inside, 95: inside}
    return ScoredForecast(symbol, "XNYS", session, session, 1, 100.0, 0.0, levels, {})


def count(desk: Desk, *outcomes: ScoredForecast) -> list[AlertEvent]:
    with desk.database.transaction() as connection:
        subscriptions = read_subscriptions(connection, AlertKind.COVERAGE_DRIFTED)
        return list(coverage_events(connection, subscriptions, outcomes))


def sums(desk: Desk) -> list[tuple[str, int, int]]:
    with desk.database.reading() as connection:
        return [(row.symbol, row.low, row.high) for row in connection.execute(select(alert_coverage))]


def test_closes_outside_alarm_after_seven_in_a_row_and_the_test_starts_again(desk: Desk, tmp_path: Path) -> None:
    subscribe(desk.database, tmp_path, AlertKind.COVERAGE_DRIFTED, scope=(AlertScope.SYMBOL, "AAA"))
    assert count(desk, *(outcome(day, False) for day in range(6))) == []  # 18; the threshold of one symbol is 20
    assert sums(desk) == [("AAA", 18, 0)]
    (alarm,) = count(desk, outcome(6, False))
    assert alarm.message == "AAA: the coverage of its 80 % interval drifted by 2018-06-10: it is too narrow"
    assert (alarm.subscription_id, alarm.detail["side"]) == (1, "low")
    assert sums(desk) == [("AAA", 0, 0)]


def test_closes_inside_alarm_after_26_in_a_row(desk: Desk, tmp_path: Path) -> None:
    subscribe(desk.database, tmp_path, AlertKind.COVERAGE_DRIFTED, scope=(AlertScope.SYMBOL, "AAA"))
    assert count(desk, *(outcome(day, True) for day in range(25))) == []
    (alarm,) = count(desk, outcome(25, True))
    assert alarm.detail == {"session": date(2018, 6, 29), "interval": 80, "side": "high"}


def test_a_session_counts_once_and_in_order(desk: Desk, tmp_path: Path) -> None:
    subscribe(desk.database, tmp_path, AlertKind.COVERAGE_DRIFTED)
    count(desk, outcome(1, False))
    count(desk, outcome(1, False), outcome(0, False))
    assert sums(desk) == [("AAA", 3, 0)]


def test_each_subscription_has_its_own_test_and_more_symbols_a_higher_threshold(desk: Desk, tmp_path: Path) -> None:
    subscribe(desk.database, tmp_path, AlertKind.COVERAGE_DRIFTED, scope=(AlertScope.SYMBOL, "AAA"))
    subscribe(desk.database, tmp_path, AlertKind.COVERAGE_DRIFTED)
    alarms = count(desk, *(outcome(day, False) for day in range(7)))
    assert [alarm.subscription_id for alarm in alarms] == [1]
    assert sums(desk) == [("AAA", 0, 0), ("AAA", 21, 0)]
