"""The calendar of a symbol, checked against its rows: from files, a fake source, and Yahoo through the stand-in."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from service.market.exchange_calendar import get_calendar
from service.market.instruments import CalendarUse
from service.prices.pull.calendar_check import CalendarChecker, DatedPrices
from service.prices.quarantine.symbol_holds import clear_holds, list_holds
from service.prices.sources.base import Action, ActionKind, InstrumentMeta
from service.prices.sources.files import FilesSource
from service.prices.sources.yahoo import YahooSource
from tests.support.fakes import World, bars_frame
from tests.support.standin import Standin, StandinSymbol, reset_yfinance
from tests.support.stored_bars import read_bars

FIRST, LAST = date(2022, 6, 1), date(2024, 3, 28)
AT = datetime(2024, 3, 28, 23, tzinfo=UTC)
NO_META = InstrumentMeta(calendar="XNYS")
"""What a folder without a manifest says about a symbol without a suffix."""
TOKYO = get_calendar("XTKS", FIRST, LAST).table(FIRST, LAST).sessions
DAYS = np.arange(np.datetime64(FIRST), np.datetime64(LAST) + 1)
SUNDAY_TO_THURSDAY = DAYS[~np.isin((DAYS.astype(np.int64) + 3) % 7, (4, 5))]


def walk(count: int) -> NDArray[np.float64]:
    return 100 * np.exp(np.cumsum(np.random.default_rng(7).normal(0, 0.01, count)))


def write(folder: Path, symbol: str, stamps: Sequence[str]) -> NDArray[np.float64]:
    closes = walk(len(stamps))
    rows = [f"{day},{close},{close},1000" for day, close in zip(stamps, closes, strict=True)]
    (folder / f"{symbol}.csv").write_text("\n".join(["date,close,adj_close,volume", *rows]) + "\n")
    return closes


def check(folder: Path, symbol: str, at: datetime = AT, **configured: str) -> DatedPrices:
    source = FilesSource(folder)
    checker = CalendarChecker(configured, get_calendar, at.date())
    return checker.fetch(partial(source.fetch, symbol), None, None, at)


@pytest.mark.parametrize(
    ("symbol", "days", "use", "as_of", "target"),
    [
        ("BTC-USDT", DAYS, CalendarUse("24/7", False, False), "2024-03-22", "2024-03-23"),
        ("BITCOIN", DAYS, CalendarUse("24/7", True, False), "2024-03-22", "2024-03-23"),
        ("COMI.CA", SUNDAY_TO_THURSDAY, CalendarUse("XCAI", False, False), "2024-03-21", "2024-03-24"),
        ("COMI", SUNDAY_TO_THURSDAY, CalendarUse("sun-thu", True, False), "2024-03-21", "2024-03-24"),
    ],
)
def test_the_next_session_follows_the_rows_of_a_file(
    tmp_path: Path, symbol: str, days: NDArray[np.datetime64], use: CalendarUse, as_of: str, target: str
) -> None:
    write(tmp_path, symbol, days.astype(str).tolist())
    dated = check(tmp_path, symbol)
    assert (dated.use, dated.fault, len(dated.history.bars)) == (use, None, len(days))
    calendar = get_calendar(dated.use.name, FIRST, LAST)
    assert calendar.next(date.fromisoformat(as_of)).isoformat() == target
    is_approximate = dated.use.approximate or calendar.is_approximate(date.fromisoformat(target))
    assert is_approximate is (symbol != "BTC-USDT")


def test_a_default_that_nobody_stated_is_approximate(tmp_path: Path) -> None:
    sessions = get_calendar("XNYS", FIRST, LAST).table(FIRST, LAST).sessions
    write(tmp_path, "PLAIN", sessions.astype(str).tolist())
    assert check(tmp_path, "PLAIN").use == CalendarUse("XNYS", True, False)
    (tmp_path / "manifest.csv").write_text("symbol,group,calendar,currency\nPLAIN,stocks,NYSE,USD\n")
    assert check(tmp_path, "PLAIN").use == CalendarUse("XNYS", False, False)


def test_midnights_of_tokyo_in_utc_are_moved_to_their_session(tmp_path: Path) -> None:
    closes = write(tmp_path, "6758.T", (TOKYO - 1).astype(str).tolist())
    dated = check(tmp_path, "6758.T")
    assert dated.use == CalendarUse("XTKS", True, True)
    assert dated.history.bars.index.to_numpy().astype("datetime64[D]").tolist() == TOKYO.tolist()
    assert dated.history.bars["close"].to_numpy().tolist() == closes.tolist()
    assert dated.notice is not None
    assert "local midnights were written as UTC dates, a day early" in dated.notice


def test_a_row_that_is_a_day_early_is_served_no_day_early(tmp_path: Path) -> None:
    write(tmp_path, "6758.T", (TOKYO - 1).astype(str).tolist())
    # Tuesday, 2024-03-26 at noon in UTC: the row of Wednesday is dated Tuesday.
    dated = check(tmp_path, "6758.T", datetime(2024, 3, 26, 12, tzinfo=UTC))
    assert dated.history.bars.index[-1] == pd.Timestamp("2024-03-26")


def test_zone_and_currency_decide_only_as_far_as_the_rows_agree(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("symbol,group,calendar,currency\nMOON,moon,Moon,USD\nSTAR,moon,Moon,USD\n")
    write(tmp_path, "MOON", DAYS[np.is_busday(DAYS)].astype(str).tolist())
    write(tmp_path, "STAR", get_calendar("XNYS", FIRST, LAST).table(FIRST, LAST).sessions.astype(str).tolist())
    assert check(tmp_path, "MOON").use == CalendarUse("weekdays", True, False)
    assert check(tmp_path, "STAR").use == CalendarUse("XNYS", True, False)


def test_a_calendar_that_a_person_set_is_not_replaced(tmp_path: Path) -> None:
    write(tmp_path, "BITCOIN", DAYS.astype(str).tolist())
    fault = check(tmp_path, "BITCOIN", BITCOIN="XNYS").fault
    assert fault is not None
    assert fault.endswith("they fit 24/7: set BITCOIN=24/7 in TPLUS_CALENDARS, or correct the dates")
    assert check(tmp_path, "BITCOIN", BITCOIN="24/7").use == CalendarUse("24/7", False, False)


def fill(world: World, days: NDArray[np.datetime64], meta: InstrumentMeta = NO_META) -> None:
    world.source.bars["AAA"] = bars_frame(days.tolist(), walk(len(days)).tolist())
    world.source.metas["AAA"] = meta


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestPull:
    """The pull stores what the check finds."""

    def test_a_coin_under_a_default_calendar_keeps_every_row(self, world: World) -> None:
        fill(world, DAYS)
        outcome = world.pull(date(2024, 3, 28), at=AT)["AAA"]
        assert (outcome.state, outcome.counts) == ("ok", {"added": 666, "partial": 1})
        assert outcome.notice is not None
        assert outcome.notice.endswith("of XNYS: its dates fit 24/7, which is used instead, approximate")
        found = world.instruments("AAA")[0]
        assert (found.calendar, found.calendar_approximate, found.utc_dates) == ("24/7", True, False)
        later = world.pull(date(2024, 3, 28), at=AT + timedelta(days=1, hours=3))["AAA"]
        assert (later.state, later.counts, later.notice) == ("ok", {"added": 1}, None)

    def test_dates_stay_local_in_later_pulls(self, world: World) -> None:
        fill(world, TOKYO - 1, InstrumentMeta(calendar="XTKS"))
        world.source.actions["AAA"] = (Action(date(2024, 3, 24), ActionKind.DIVIDEND, 0.5),)
        for day in (22, 25, 26):
            outcome = world.pull(date(2024, 3, day), at=datetime(2024, 3, day, 9, tzinfo=UTC))["AAA"]
            assert outcome.state == "ok", outcome
        with world.database.reading() as connection:
            stored = read_bars(connection, "AAA")
        expected = TOKYO[TOKYO <= np.datetime64("2024-03-26")]
        assert stored.sessions.tolist() == expected.tolist()
        assert np.allclose(stored.close, walk(len(TOKYO))[: len(expected)], rtol=1e-12)
        assert world.instruments("AAA")[0].utc_dates

    def test_dates_that_fit_no_calendar_are_held_until_a_person_accepts_them(self, world: World) -> None:
        fill(world, get_calendar("XNYS", FIRST, LAST).table(FIRST, LAST).sessions + 1)
        outcome = world.pull(date(2024, 3, 28), at=AT)["AAA"]
        assert outcome.state == "suspect"
        assert outcome.reason is not None
        assert "rows are on no session of XNYS; and no known calendar fits them" in outcome.reason
        found = world.instruments("AAA")[0]
        assert (found.state, found.first_session) == ("suspect", None)
        with world.database.transaction() as connection:
            assert [(hold.kind, hold.state) for hold in list_holds(connection, ["AAA"])] == [("calendar", "open")]
            clear_holds(connection, "AAA", AT)
        for _ in range(2):
            world.pull(date(2024, 3, 28), at=AT)
            found = world.instruments("AAA")[0]
            assert (found.state, found.calendar, found.calendar_approximate) == ("ok", "XNYS", True)

    def test_a_young_coin_moves_to_its_calendar_once_it_has_sixty_rows(self, world: World) -> None:
        young = DAYS[DAYS >= np.datetime64("2024-01-15")]
        fill(world, young)
        world.pull(date(2024, 2, 9), at=datetime(2024, 2, 10, 23, tzinfo=UTC))
        assert world.instruments("AAA")[0].calendar == "XNYS"
        outcome = world.pull(date(2024, 3, 28), at=AT)["AAA"]
        assert outcome.notice is not None
        assert world.instruments("AAA")[0].calendar == "24/7"
        with world.database.reading() as connection:
            assert len(read_bars(connection, "AAA").sessions) == len(young) - 1

    def test_holidays_that_repeat_the_close_are_dropped_and_counted(self, world: World) -> None:
        weekdays = DAYS[np.is_busday(DAYS)]
        fill(world, weekdays, replace(NO_META, calendar="XTKS", currency="JPY"))
        frame = world.source.bars["AAA"]
        closed = ~np.isin(weekdays, TOKYO)
        filled = np.maximum.accumulate(np.where(closed, -1, np.arange(len(closed))))
        world.source.bars["AAA"] = frame.iloc[filled].set_axis(frame.index).assign(volume=np.where(closed, 0.0, 1000.0))
        outcome = world.pull(date(2024, 3, 28), at=AT)["AAA"]
        assert (outcome.state, outcome.notice) == ("ok", None)
        assert outcome.counts == {"added": len(TOKYO), "repeated": int(closed.sum())}
        assert int(closed.sum()) == 28, "7 holidays of 2022, 14 of 2023, 7 of 2024"
        assert not world.instruments("AAA")[0].calendar_approximate


@pytest.fixture
def clean_yfinance() -> Iterator[None]:
    reset_yfinance()
    yield
    reset_yfinance()


@pytest.mark.usefixtures("clean_yfinance")
@pytest.mark.parametrize(
    ("symbol", "spec", "as_of", "target"),
    [
        ("VTSAX", {"exchangeName": "NAS", "instrumentType": "MUTUALFUND"}, date(2025, 11, 26), date(2025, 11, 28)),
        ("^IXIC", {"exchangeName": "NIM", "instrumentType": "INDEX"}, date(2025, 11, 26), date(2025, 11, 28)),
        ("^TNX", {"exchangeName": "CGI", "instrumentType": "INDEX"}, date(2025, 11, 26), date(2025, 11, 28)),
        ("DX-Y.NYB", {"exchangeName": "NYB", "instrumentType": "INDEX"}, date(2025, 11, 26), date(2025, 11, 28)),
        (
            "NBK.KW", {"exchangeName": "KUW", "exchangeTimezoneName": "Asia/Kuwait", "currency": "KWF"},
            date(2025, 11, 27), date(2025, 11, 30),
        ),
        ("NEW", {"exchangeName": "XYZ"}, date(2025, 11, 26), date(2025, 11, 28)),
    ],
)  # fmt: skip
def test_yahoo_symbols_follow_their_own_exchange(
    tmp_path: Path, symbol: str, spec: dict[str, Any], as_of: date, target: date
) -> None:
    at = datetime(2025, 12, 2, 23, tzinfo=UTC)
    calendar = "XKUW" if symbol == "NBK.KW" else "XNYS"
    with Standin({symbol: StandinSymbol(date(2025, 6, 2), calendar, meta=spec)}, at) as standin:
        source = YahooSource(tmp_path, standin.url)
        checker = CalendarChecker({}, get_calendar, at.date())
        dated = checker.fetch(partial(source.fetch, symbol), None, None, at)
    assert (dated.use.name, dated.use.approximate, dated.fault) == (calendar, symbol == "NEW", None)
    found = get_calendar(dated.use.name, FIRST, at.date())
    assert found.next(as_of) == target
    assert found.is_approximate(target) is (symbol == "NBK.KW")
    expected = found.sessions(date(2025, 6, 2), date(2025, 12, 2))
    assert [day.date() for day in dated.history.bars.index] == expected
