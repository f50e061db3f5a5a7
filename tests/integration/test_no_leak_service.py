"""Nothing that is not final at as_of moves what is served: Tokyo and New York in one database."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from models.config import Reference, ReferenceRole, Strategy
from service.db.session import Database
from service.db.tables import forecasts, model_versions
from service.market.sessions import ensure_sessions
from tests.support.forecast_factory import Desk, History, open_desk, quantiles_of, random_closes, sessions_until, utc

AS_OF, BEFORE = date(2018, 5, 31), date(2018, 5, 30)
SPY = Reference("SPY", ReferenceRole.MARKET)
LATER = [day for day in sessions_until(date(2018, 6, 8), 8) if day > AS_OF]
SERIES = (("AAA", "XNYS"), ("7203.T", "XTKS"), ("SPY", "XNYS"))

Bars = dict[str, dict[date, float]]
Sayer = Callable[[Bars], dict[str, Any]]


def plain() -> Bars:
    """Closes by symbol and session, a week past as_of."""
    closes: Bars = {}
    for position, (symbol, calendar) in enumerate(SERIES):
        days = [*sessions_until(AS_OF, 330, calendar), *LATER]
        closes[symbol] = dict(zip(days, random_closes(len(days), position + 1), strict=True))
    return closes


@pytest.fixture
def said(migrated_file: Path, tmp_path: Path) -> Sayer:
    """What is stored of each symbol's forecasts from as_of, over a database of the given bars."""
    count = iter(range(99))

    @contextmanager
    def desk_of(closes: Bars) -> Iterator[Desk]:
        folder = tmp_path / f"{next(count)}"
        folder.mkdir()
        shutil.copyfile(migrated_file, folder / "test.db")
        database = Database(f"sqlite:///{folder / 'test.db'}")
        try:
            yield fill(open_desk(database, folder, utc(2018, 5, 31, 22), references=("SPY",)), closes)
        finally:
            database.close()

    def answer(closes: Bars) -> dict[str, Any]:
        with desk_of(closes) as desk:
            for calendar in ("XTKS", "XNYS"):
                assert {one.state for one in desk.forecast(AS_OF, calendar).values()} == {"forecast"}
            found: dict[str, Any] = {}
            networks = {row.id for row in desk.rows(model_versions) if row.forecaster != "random_walk"}
            for row in desk.rows(forecasts):
                if row.model_version_id not in networks:
                    continue  # the random walk is fitted here, on all of the group up to as_of
                found.setdefault(row.symbol, []).append((row.strategy, row.step, quantiles_of(row), row.degraded))
            return found

    return answer


def fill(desk: Desk, closes: Bars) -> Desk:
    """Bars, and networks that serve from them with SPY among their inputs."""
    for symbol, calendar in SERIES:
        days = sorted(closes[symbol])
        desk.add(History(symbol, days[0], [closes[symbol][days[0]]], calendar, active=symbol != "SPY"))
        desk.put(symbol, {day: closes[symbol][day] for day in days[1:]})
        grid(desk, calendar, days[0])
    for strategy in Strategy:
        desk.add_walk(strategy, "challenger")
        desk.add_network(strategy, "champion", references=(SPY,))
    return desk


def grid(desk: Desk, calendar: str, first: date) -> None:
    """The calendar's sessions over the whole span."""
    with desk.database.transaction() as connection:
        ensure_sessions(connection, desk.context.calendars.get(calendar), first, date(2018, 6, 29))


def changed(closes: Bars, symbol: str, *days: date) -> Bars:
    """Other closes on some days."""
    return {**closes, symbol: {**closes[symbol], **{day: closes[symbol][day] * 1.3 for day in days}}}


def test_bars_after_as_of_change_nothing(said: Sayer) -> None:
    story = plain()
    future = story
    for symbol, _ in SERIES:
        future = changed(future, symbol, *LATER)
    assert future != story
    assert said(future) == said(story)


def test_as_of_itself_does_change_it(said: Sayer) -> None:
    story = plain()
    first, second = said(story), said(changed(story, "7203.T", AS_OF))
    assert second["7203.T"] != first["7203.T"]
    assert second["AAA"] == first["AAA"]


def test_tokyo_never_sees_the_new_york_close_of_its_own_date(said: Sayer) -> None:
    """At 22:00 UTC of 31 May SPY's bar of the day is stored, but Tokyo's as_of was final at 07:30 UTC."""
    story = plain()
    first, second = said(story), said(changed(story, "SPY", AS_OF))
    assert second["7203.T"] == first["7203.T"]
    assert second["AAA"] != first["AAA"]


def test_tokyo_does_see_the_new_york_close_of_the_day_before(said: Sayer) -> None:
    story = plain()
    assert said(changed(story, "SPY", BEFORE))["7203.T"] != said(story)["7203.T"]


def test_an_absent_reference_bar_is_masked_and_named_never_replaced(said: Sayer) -> None:
    story = plain()
    absent = {**story, "SPY": {day: close for day, close in story["SPY"].items() if day != AS_OF}}
    first, second = said(story), said(absent)
    assert {each[3] if each[3] is None else tuple(each[3]) for each in first["AAA"]} == {None}
    assert {tuple(each[3] or ()) for each in second["AAA"]} == {("SPY",)}
    assert second["7203.T"] == first["7203.T"]
