"""The Yahoo source: the real yfinance against the stand-in."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yfinance

from service.errors import SettingsError, SourceError
from service.prices.sources.base import (
    Action,
    ActionKind,
    Malformed,
    NoData,
    RateLimited,
    Transient,
    UnknownSymbol,
)
from service.prices.sources.yahoo import YahooSource
from tests.support.standin import COOKIE, CRUMB, Fault, Standin, StandinSymbol, forget_session, reset_yfinance

# Thursday 15 November 2018, an hour after the close in New York.
NOW = datetime(2018, 11, 15, 22, tzinfo=UTC)
START = date(2018, 11, 1)

PLAIN = StandinSymbol(date(2018, 10, 1), seed=1)
ACTIVE = StandinSymbol(
    date(2018, 10, 1),
    dividends={date(2018, 11, 8): 0.5, date(2018, 11, 14): 0.25},
    splits={date(2018, 11, 13): 2.0},
    nulls=frozenset({date(2018, 11, 7)}),
    seed=2,
)
TOKYO = StandinSymbol(
    date(2018, 10, 1),
    calendar="XTKS",
    meta={"exchangeName": "JPX", "exchangeTimezoneName": "Asia/Tokyo", "currency": "JPY", "longName": "Made-up KK"},
)


@pytest.fixture
def standin() -> Iterator[Standin]:
    reset_yfinance()
    with Standin({"MADE": PLAIN, "UP": ACTIVE, "7001.T": TOKYO}, NOW) as running:
        yield running
    reset_yfinance()


@pytest.fixture
def source(standin: Standin, tmp_path: Path) -> YahooSource:
    return YahooSource(tmp_path, standin.url)


def test_bars_equal_those_of_the_stand_in(source: YahooSource) -> None:
    history = source.fetch("MADE", START, NOW)

    assert history.symbol == "MADE"
    assert list(history.bars.columns) == ["open", "high", "low", "close", "volume"]
    assert set(history.bars.dtypes) == {np.dtype("float64")}
    # Sessions of 1..15 November 2018: eleven weekdays, no holiday among them.
    assert [day.isoformat()[:10] for day in history.bars.index] == [
        f"2018-11-{day:02}" for day in (1, 2, 5, 6, 7, 8, 9, 12, 13, 14, 15)
    ]
    assert history.bars.index.name == "session"
    assert str(history.bars.index.dtype) == "datetime64[s]", "no time zone"
    # The walk's closes are eighths around 128 and bars are built from them: open -1/4, high +1/2, low -3/4.
    expected = np.array([bar["close"] for bar in PLAIN.traded(34)][23:])
    np.testing.assert_array_equal(history.bars["close"], expected)
    np.testing.assert_array_equal(history.bars["low"], expected - 0.75)
    assert history.bars["volume"].tolist() == [1230.0 + 10 * k for k in range(11)]
    assert history.actions == ()


def test_the_request_is_open_ended_and_unadjusted(source: YahooSource, standin: Standin) -> None:
    source.fetch("MADE", START, NOW)

    assert standin.requests == [
        "fc.yahoo.com/",
        "query1.finance.yahoo.com/v1/test/getcrumb",
        "query2.finance.yahoo.com/v8/finance/chart/MADE",
        "query2.finance.yahoo.com/v8/finance/chart/MADE",
    ]
    assert yfinance.data.YfData.cache_get.cache_info().currsize == 1  # the zone look-up alone


def test_the_whole_history_without_a_start(source: YahooSource) -> None:
    assert len(source.fetch("MADE", None, NOW).bars) == 34


def test_splits_dividends_and_null_rows(source: YahooSource) -> None:
    history = source.fetch("UP", START, NOW)

    # The dividend before the split is served halved, as every price before it; the one after is as paid.
    assert history.actions == (
        Action(date(2018, 11, 8), ActionKind.DIVIDEND, 0.25),
        Action(date(2018, 11, 13), ActionKind.SPLIT, 2.0),
        Action(date(2018, 11, 14), ActionKind.DIVIDEND, 0.25),
    )
    traded = [bar["close"] for bar in ACTIVE.traded(34)]
    closes = history.bars["close"]
    assert closes[pd.Timestamp("2018-11-12")] == traded[30] / 2
    assert closes[pd.Timestamp("2018-11-13")] == traded[31], "not lowered by the dividend of the day after"
    assert history.bars.loc["2018-11-07"].isna().all(), "a null bar is a row of NaN, volume too"
    assert int(history.bars.isna().all(axis=1).sum()) == 1


def test_metadata_of_a_symbol(source: YahooSource) -> None:
    meta = source.fetch("7001.T", START, NOW).meta

    assert (meta.name, meta.exchange, meta.currency, meta.instrument_type) == ("Made-up KK", "JPX", "JPY", "EQUITY")
    assert meta.calendar is None


def test_dates_of_tokyo_are_local(source: YahooSource) -> None:
    bars = source.fetch("7001.T", date(2018, 11, 12), NOW).bars

    assert [day.day for day in bars.index] == [12, 13, 14, 15]


def test_rows_later_than_the_instant_are_left_out(source: YahooSource) -> None:
    history = source.fetch("UP", START, datetime(2018, 11, 12, 22, tzinfo=UTC))

    assert history.bars.index[-1] == pd.Timestamp("2018-11-12")
    assert [action.ex_date for action in history.actions] == [date(2018, 11, 8)]


def test_unknown_symbols_are_reported_each_time(source: YahooSource) -> None:
    # yfinance answers its first two unknown symbols in another way than the later ones.
    for symbol in ("NOSUCH", "NEITHER", "NORTHIS", "NOSUCH"):
        with pytest.raises(UnknownSymbol, match=f"^{symbol}: Yahoo has no such symbol"):
            source.fetch(symbol, START, NOW)


def test_a_symbol_removed_after_its_zone_is_cached_is_unknown(source: YahooSource, standin: Standin) -> None:
    source.fetch("MADE", START, NOW)
    del standin.symbols["MADE"]

    with pytest.raises(UnknownSymbol, match="may be delisted"):
        source.fetch("MADE", START, NOW)


@pytest.mark.parametrize(
    ("fault", "expected", "words"),
    [
        (Fault.RATE_LIMIT, RateLimited, "rate limited"),
        (Fault.FORBIDDEN, Transient, "not a complete JSON document"),
        (Fault.BAD_GATEWAY, Transient, "not a complete JSON document"),
        (Fault.CHART_ERROR, Transient, "Something broke inside"),
        (Fault.NO_START, NoData, "Data doesn't exist"),
        (Fault.EMPTY_RESULT, NoData, "no bars in the window"),
        (Fault.CUT_JSON, Transient, "not a complete JSON document"),
        (Fault.SHORT_BODY, Transient, "connection failed"),
        (Fault.RESET, Transient, "connection failed"),
        (Fault.DOWN, Transient, "down"),
        (Fault.NO_VOLUME, Malformed, "volume"),
        (Fault.NO_CURRENCY, Malformed, "currency"),
        (Fault.UNEQUAL, Malformed, "cannot be read"),
        (Fault.EMPTY_BODY, Transient, "not a complete JSON document"),
        (Fault.EMPTY_JSON, NoData, "no reason"),
        (Fault.NULL_RESULT, NoData, "no bars in the window"),
        (Fault.UNAUTHORISED, NoData, "no reason"),
    ],
)
def test_each_fault_is_one_of_the_five_errors_and_is_temporary(
    source: YahooSource, standin: Standin, fault: Fault, expected: type[SourceError], words: str
) -> None:
    source.fetch("MADE", START, NOW)
    assert_temporary(source, standin, fault, expected, words)


def assert_temporary(
    source: YahooSource, standin: Standin, fault: Fault, expected: type[SourceError], words: str
) -> None:
    """Check that one fetch raises exactly this error with these words, and that the next run succeeds."""
    standin.fail("MADE", fault)
    with pytest.raises(expected, match=words) as caught:
        source.fetch("MADE", START, NOW)
    assert type(caught.value) is expected
    assert str(caught.value).startswith("MADE: ")
    standin.heal()
    source.begin_run()
    assert len(source.fetch("MADE", START, NOW).bars) == 11


def test_a_truncated_zone_answer_is_cached_until_the_next_run(source: YahooSource, standin: Standin) -> None:
    standin.fail("MADE", Fault.CUT_JSON, times=1)
    with pytest.raises(Transient):
        source.fetch("MADE", START, NOW)
    count = len(standin.requests)

    # The stand-in answers again, but yfinance sends no request.
    with pytest.raises(Transient):
        source.fetch("MADE", START, NOW)
    assert len(standin.requests) == count

    source.begin_run()
    assert len(source.fetch("MADE", START, NOW).bars) == 11


@pytest.mark.parametrize("target", [COOKIE, CRUMB])
def test_bars_are_served_without_cookie_or_crumb(source: YahooSource, standin: Standin, target: str) -> None:
    standin.fail(target, Fault.RATE_LIMIT)

    assert len(source.fetch("MADE", START, NOW).bars) == 11


def test_one_failing_symbol_does_not_affect_the_next(source: YahooSource, standin: Standin) -> None:
    standin.fail("MADE", Fault.BAD_GATEWAY)
    with pytest.raises(Transient):
        source.fetch("MADE", START, NOW)

    assert len(source.fetch("UP", START, NOW).bars) == 11


def test_parallel_calls_do_not_mix(source: YahooSource) -> None:
    symbols = ["MADE", "UP", "7001.T", "NOSUCH"] * 3

    def last_close(symbol: str) -> float | None:
        try:
            return float(source.fetch(symbol, START, NOW).bars["close"].iloc[-1])
        except UnknownSymbol:
            return None

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(last_close, symbols))

    made, up = PLAIN.traded(34)[33]["close"], ACTIVE.traded(34)[33]["close"]
    tokyo = TOKYO.served(NOW)[date(2018, 11, 15)]["close"]
    assert found == [made, up, tokyo, None] * 3


def test_yahoo_is_a_live_source(source: YahooSource) -> None:
    assert (source.name, source.can_replay, source.symbols(), source.record()) == ("yahoo", False, (), None)


@pytest.mark.parametrize(
    "url",
    ["http://query2.finance.yahoo.com:80", "http://10.0.0.1:8000", "https://127.0.0.1:8000", "http://127.0.0.1", ""],
)
def test_a_stand_in_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="not a stand-in on this machine"):
        YahooSource(None, url)


def test_a_cache_folder_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the data folder should be\n")
    with pytest.raises(SettingsError, match=r"data/yahoo-cache cannot hold yfinance's cache \(Not a directory\); set"):
        YahooSource(tmp_path / "data" / "yahoo-cache")


def test_an_address_without_a_server_cannot_be_reached(tmp_path: Path) -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    words = r"^MADE: Yahoo cannot be reached \(Failed to connect to 127\.0\.0\.1[^)]*\); try again later$"
    with pytest.raises(Transient, match=words):
        YahooSource(tmp_path, f"http://127.0.0.1:{port}").fetch("MADE", START, NOW)


def test_a_hanging_request_times_out(standin: Standin, tmp_path: Path) -> None:
    source = YahooSource(tmp_path, standin.url, timeout=0.5)
    source.fetch("MADE", START, NOW)
    standin.fail("MADE", Fault.HANG)
    with pytest.raises(Transient, match="MADE: the connection failed"):
        source.fetch("MADE", START, NOW)


def test_the_pace_applies_across_threads(standin: Standin, tmp_path: Path) -> None:
    source = YahooSource(tmp_path, standin.url, pace=0.2)
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        assert [len(history.bars) for history in pool.map(lambda _: source.fetch("MADE", START, NOW), range(4))] == [
            11
        ] * 4
    assert time.monotonic() - began >= 0.6


def test_a_corrupt_cache_folder_is_emptied_and_the_fetch_repeated(standin: Standin, tmp_path: Path) -> None:
    source = YahooSource(tmp_path, standin.url)
    (private,) = tmp_path.iterdir()
    for name in ("tkr-tz.db", "cookies.db"):
        (private / name).write_bytes(b"this is not a database, although it has its name. " * 100)
    assert len(source.fetch("MADE", START, NOW).bars) == 11
    assert (private / "tkr-tz.db").read_bytes().startswith(b"SQLite format 3")


@pytest.mark.parametrize(
    "cookie",
    [
        "B1=made-up; Domain=.yahoo.com; Path=/; Expires=Fri, 01 Jan 2038 00:00:00 GMT",
        "A3=made-up; Domain=.yahoo.com; Path=/",
    ],
)
def test_a_stored_cookie_without_its_parts_is_removed(source: YahooSource, standin: Standin, cookie: str) -> None:
    standin.cookie = cookie
    source.fetch("MADE", START, NOW)
    forget_session()
    assert len(source.fetch("MADE", START, NOW).bars) == 11


def test_a_fault_after_emptying_the_cache_is_reported(standin: Standin, tmp_path: Path) -> None:
    source = YahooSource(tmp_path, standin.url)
    source.fetch("MADE", START, NOW)
    standin.fail("MADE", Fault.NO_VOLUME)
    count = standin.requests.count("query2.finance.yahoo.com/v8/finance/chart/MADE")
    for expected in (3, 4):  # zone and chart again after the wipe, which one run does once
        with pytest.raises(Malformed):
            source.fetch("MADE", START, NOW)
        assert standin.requests.count("query2.finance.yahoo.com/v8/finance/chart/MADE") == count + expected


@pytest.mark.parametrize(
    ("fault", "expected", "words"),
    [
        (Fault.UNAUTHORISED, Transient, "refused without a reason"),
        (Fault.CHART_ERROR, Transient, "Something broke inside"),
        (Fault.NO_START, NoData, "Data doesn't exist"),
        (Fault.EMPTY_RESULT, NoData, "no reason"),
        (Fault.NULL_RESULT, NoData, "no reason"),
        (Fault.RATE_LIMIT, RateLimited, "rate limited"),
        (Fault.BAD_GATEWAY, Transient, "not a complete JSON document"),
    ],
)
def test_the_first_fetch_of_a_symbol_reports_the_reason_of_yahoo(
    source: YahooSource, standin: Standin, fault: Fault, expected: type[SourceError], words: str
) -> None:
    """The time zone is looked up first, and yfinance would report each of these as delisted."""
    assert_temporary(source, standin, fault, expected, words)


def test_a_repeated_last_row_is_one_session(source: YahooSource, standin: Standin) -> None:
    source.fetch("MADE", START, NOW)
    standin.fail("MADE", Fault.DUPLICATE_LAST)
    bars = source.fetch("MADE", START, NOW).bars
    newest = PLAIN.traded(34)[33]["close"] + 0.125
    assert bars["close"].iloc[-1] == newest
    assert bars.index.is_unique


def test_the_private_folder_is_removed_with_the_source(standin: Standin, tmp_path: Path) -> None:
    source = YahooSource(tmp_path, standin.url)
    source.fetch("MADE", START, NOW)
    (private,) = tmp_path.iterdir()
    assert (private / "tkr-tz.db").is_file()

    del source
    assert list(tmp_path.iterdir()) == []


def rewritten(standin: Standin, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the chart document of MADE in every answer."""

    def body(result: dict[str, Any]) -> bytes:
        change(result)
        return json.dumps({"chart": {"result": [result], "error": None}}).encode()

    standin.rewritten["MADE"] = body


def test_the_answer_for_another_symbol_is_refused(source: YahooSource, standin: Standin) -> None:
    rewritten(standin, lambda chart: chart["meta"].update(symbol="OTHER"))
    with pytest.raises(Malformed, match="MADE: Yahoo answered with the bars of 'OTHER'"):
        source.fetch("MADE", START, NOW)


def test_the_symbol_of_an_answer_may_differ_in_case_or_be_left_out(source: YahooSource, standin: Standin) -> None:
    rewritten(standin, lambda chart: chart["meta"].update(symbol="made"))
    assert len(source.fetch("MADE", START, NOW).bars) == 11
    rewritten(standin, lambda chart: chart["meta"].pop("symbol"))
    assert len(source.fetch("MADE", START, NOW).bars) == 11


@pytest.mark.parametrize(
    ("stamp", "message"),
    [
        (0, "a bar of 1969-12-31, requested were bars from 2018-11-01 on"),
        (1_700_000_000, "a bar of 2023-11-14, which is in the future"),
        (None, "a bar without a date"),
    ],
)
def test_a_bar_on_an_impossible_date_is_refused(
    source: YahooSource, standin: Standin, stamp: int | None, message: str
) -> None:
    rewritten(standin, lambda chart: chart["timestamp"].__setitem__(3 if len(chart["timestamp"]) > 3 else 0, stamp))
    with pytest.raises(Malformed, match=message):
        source.fetch("MADE", START, NOW)
