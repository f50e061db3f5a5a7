"""Jumps of the width: against the symbol's earlier editions of the same mode, once per jump."""

from datetime import date
from pathlib import Path

from sqlalchemy import event

from service.forecasts.ledger import publish
from service.vocabulary import AlertKind, AlertScope
from tests.support.alert_factory import deliveries, events, subscribe
from tests.support.forecast_factory import Desk, Said, draft_of, sessions_until, utc

DAYS = sessions_until(date(2018, 6, 1), 40)


def issue(desk: Desk, as_of: date, width: float, mode: str = "replay") -> None:
    half = width / 2
    quantiles = (-2 * half, -half, -half / 2, 0.0, half / 2, half, 2 * half)
    given = Said("AAA", as_of, (date(2018, 6, 4),), 1, "one_step", 1, quantiles)
    with desk.database.transaction() as connection:
        publish(connection, draft_of(given, mode=mode), utc(2018, 6, 1, 22), utc(2026, 1, 2))


def test_a_jump_is_one_event_until_the_width_was_usual_again(desk: Desk, tmp_path: Path) -> None:
    subscribe(desk.database, tmp_path, AlertKind.WIDTH_JUMPED)
    widths = [0.04] * 12 + [0.059, 0.061, 0.08, 0.04, 0.07]
    for day, width in zip(DAYS, widths, strict=False):
        issue(desk, day, width)
    found = events(desk.database, AlertKind.WIDTH_JUMPED)
    assert [(event["as_of"], event["edition"]) for event in found] == [(str(DAYS[13]), 14), (str(DAYS[16]), 17)]
    assert found[0]["message"] == (
        f"AAA: the 80 % interval from {DAYS[13]} is 6.10% wide, 1.5 times the median of its last 13 forecasts"
    )


def test_nothing_is_compared_with_fewer_than_ten_earlier_ones(desk: Desk, tmp_path: Path) -> None:
    subscribe(desk.database, tmp_path, AlertKind.WIDTH_JUMPED)
    for day, width in zip(DAYS, [0.04] * 9 + [0.4], strict=False):
        issue(desk, day, width)
    assert deliveries(desk.database) == []


def test_a_backfill_neither_alerts_nor_is_compared_with(desk: Desk, tmp_path: Path) -> None:
    subscribe(desk.database, tmp_path, AlertKind.WIDTH_JUMPED)
    for day in DAYS[:12]:
        issue(desk, day, 0.01, "backfill")
    issue(desk, DAYS[12], 0.4, "backfill")
    issue(desk, DAYS[13], 0.4)
    assert deliveries(desk.database) == []


def test_later_sessions_are_not_looked_at(desk: Desk, tmp_path: Path) -> None:
    for day in DAYS[14:26]:
        issue(desk, day, 0.01)
    subscribe(desk.database, tmp_path, AlertKind.WIDTH_JUMPED)
    issue(desk, DAYS[13], 0.4)
    assert deliveries(desk.database) == []


def test_only_covered_symbols_are_looked_at(desk: Desk, tmp_path: Path) -> None:
    subscribe(desk.database, tmp_path, AlertKind.WIDTH_JUMPED, scope=(AlertScope.SYMBOL, "BBB"))
    queries: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        queries.append(statement)

    for day in DAYS[:12]:
        issue(desk, day, 0.04)
    event.listen(desk.database.engine, "before_cursor_execute", note)
    issue(desk, DAYS[12], 0.4)
    event.remove(desk.database.engine, "before_cursor_execute", note)
    assert deliveries(desk.database) == []
    assert [each for each in queries if "served_forecasts" in each and each.startswith("SELECT")] == []
