"""Eight markets in one service: recorded prices of five, walks for New York, a currency pair and a crypto currency.

The twelve days of 2023 include Labor Day in New York and two days without a bar of Hong Kong's only symbol:
1 September, and 8 September, the day of a typhoon.
"""

import csv
import gzip
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Row, select

from service.app import create_app
from service.db.session import Database
from service.db.tables import editions, forecasts, scores, sessions
from service.market.exchange_calendar import get_calendar
from service.market.instruments import add_symbols
from service.prices.panel import PanelQuery, load_panel
from service.prices.sources.files import FilesSource
from service.settings import Settings
from tests.support.api.client import TestClient
from tests.support.paths import PRICES
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import Service, ServiceOptions, make_service

RECORDED = PRICES / "other_markets"
here = pytest.mark.skipif(not PRICES.is_dir(), reason="the recorded prices of ../shared/prices are missing")

MARKETS = {  # symbol: calendar as a manifest writes it, currency as the source writes it
    "REL.L": ("LSE", "GBp"), "4063.T": ("TSE", "JPY"), "TEP.PA": ("Euronext Paris", "EUR"),
    "IBE.MC": ("BME Madrid", "EUR"), "1398.HK": ("HKEX", "HKD"), "NYC": ("NYSE", "USD"), "SPY": ("NYSE", "USD"),
    "EURUSD=X": ("24/5", "USD"), "BTC-USD": ("24/7", "USD"),
}  # fmt: skip
MADE = {"NYC": "XNYS", "SPY": "XNYS", "EURUSD=X": "24/5", "BTC-USD": "24/7"}
WATCHED = tuple(symbol for symbol in MARKETS if symbol != "SPY")
DUE = {
    "XTKS": "07:30", "XHKG": "09:30", "XLON": "17:00", "XPAR": "17:00", "XMAD": "17:00", "XNYS": "21:30",
    "24/5": "01:00", "24/7": "01:00",
}  # fmt: skip
"""Close + 90 minutes (60 for continuous trading) in UTC, all in summer time."""
EUROPE = ["08-31", "09-01", "09-04", "09-05", "09-06", "09-07", "09-08", "09-11"]
AS_OF = {
    "XTKS": EUROPE, "XLON": EUROPE, "XPAR": EUROPE, "XMAD": EUROPE,
    "XHKG": ["08-31", "09-04", "09-05", "09-06", "09-07", "09-11"],
    "XNYS": ["08-31", "09-01", "09-05", "09-06", "09-07", "09-08", "09-11"],
    "24/5": ["08-31", "09-01", "09-04", "09-05", "09-06", "09-07", "09-08"],
    "24/7": ["08-31", *(f"09-{day:02d}" for day in range(1, 11))],
}  # fmt: skip
END = datetime(2023, 9, 11, 21, 30, tzinfo=UTC)


def write_walk(path: Path, calendar: str, seed: int) -> None:
    """Write a random walk over a calendar's sessions as a price file."""
    first, last = date(2022, 6, 1), date(2023, 12, 29)
    days = get_calendar(calendar, first, last).sessions(first, last)
    closes = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, len(days))))
    figures = zip(days, closes, strict=True)
    lines = [f"{day},{c:.6f},{c * 1.01:.6f},{c * 0.99:.6f},{c:.6f},{c:.6f},1000" for day, c in figures]
    with gzip.open(path, "wt") as file:
        file.write("\n".join(["date,open,high,low,close,adj_close,volume", *lines]) + "\n")


def write_markets(folder: Path) -> Path:
    """Write a price folder: five recorded files, four walks, and their manifest."""
    folder.mkdir()
    for seed, (symbol, calendar) in enumerate(MADE.items()):
        write_walk(folder / f"{symbol}.csv.gz", calendar, seed)
    for symbol in set(MARKETS) - set(MADE):
        shutil.copyfile(RECORDED / f"{symbol}.csv.gz", folder / f"{symbol}.csv.gz")
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("symbol", "group", "calendar", "currency"))
        writer.writerows((symbol, "markets", *words) for symbol, words in MARKETS.items())
    return folder


def copy_since(source: Path, target: Path, first: str) -> None:
    """Copy a recorded file's rows from a date on: too few for a network, which would train for minutes."""
    with gzip.open(source, "rt") as whole, gzip.open(target, "wt") as part:
        part.writelines([next(whole), *(line for line in whole if line >= first)])


@pytest.fixture(scope="module")
def markets(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Service:
    """The service after its twelve days, for every test below."""
    folder = tmp_path_factory.mktemp("markets")
    (folder / "markets.db").write_bytes(migrated_file.read_bytes())
    source = FilesSource(write_markets(folder / "prices"))
    options = ServiceOptions("2023-08-31T23:00:00Z", WATCHED, {"reference_symbols": ("SPY",)})
    service = make_service(Database(f"sqlite:///{folder / 'markets.db'}"), folder, source, options)
    with service.database.transaction() as connection:
        add_symbols(connection, ["SPY"], END, {}, reference=True)
    scheduler = service.scheduler()
    service.replay(scheduler, END)
    scheduler.close()
    return service


def rows(service: Service, query: Any) -> list[Row[Any]]:
    with service.database.reading() as connection:
        return list(connection.execute(query).all())


@here
@pytest.mark.parametrize("calendar", list(AS_OF))
def test_each_session_of_each_exchange_is_forecast_once_and_on_time(markets: Service, calendar: str) -> None:
    query = select(editions).where(editions.c.calendar == calendar).order_by(editions.c.number)
    found = rows(markets, query)
    assert [f"{row.as_of:%m-%d}" for row in found] == AS_OF[calendar]
    later = timedelta(days=1 if calendar.startswith("24/") else 0)
    for row in found[0 if later else 1 :]:  # the first of the others was issued when the service began
        assert (row.issued_at.date(), f"{row.issued_at:%H:%M}") == (row.as_of + later, DUE[calendar])


@here
def test_steps_are_the_sessions_of_each_exchange(markets: Service) -> None:
    as_of = date(2023, 9, 1)  # a Friday; Monday is Labor Day in New York
    query = (
        select(forecasts.c.symbol, forecasts.c.target_session)
        .where(forecasts.c.as_of == as_of, forecasts.c.strategy == "multi_step")
        .order_by(forecasts.c.symbol, forecasts.c.step)
    )
    targets: dict[str, list[int]] = {}
    for row in rows(markets, query):
        targets.setdefault(row.symbol, []).append(row.target_session.day)
    assert targets == {
        "4063.T": [4, 5, 6], "BTC-USD": [2, 3, 4], "EURUSD=X": [4, 5, 6], "IBE.MC": [4, 5, 6], "NYC": [5, 6, 7],
        "REL.L": [4, 5, 6], "TEP.PA": [4, 5, 6],
    }  # fmt: skip


@here
def test_every_answer_has_the_currency_of_the_source(markets: Service) -> None:
    with TestClient(create_app(Settings(), markets.database)) as client:
        forecast = {symbol: client.get(f"/v1/forecasts/{symbol}").json() for symbol in WATCHED}
        prices = {symbol: client.get(f"/v1/prices/{symbol}").json()["currency"] for symbol in WATCHED}
        listed = {item["symbol"]: item["currency"] for item in client.get("/v1/symbols").json()["items"]}
    currencies = {symbol: MARKETS[symbol][1] for symbol in WATCHED}
    assert {symbol: answer["currency"] for symbol, answer in forecast.items()} == currencies
    assert prices == currencies
    assert {symbol: listed[symbol] for symbol in currencies} == currencies
    assert {answer["approximate"] for answer in forecast.values()} == {False}
    assert 20 < forecast["REL.L"]["last_close"] < 30, "shown as the source gives it, not divided by 100"


@here
def test_the_typhoon_day_counts_as_closed_and_its_forecasts_are_void(markets: Service) -> None:
    closed = select(sessions.c.calendar, sessions.c.session).where(sessions.c.state == "closed")
    assert {tuple(row) for row in rows(markets, closed)} == {("XHKG", date(2023, 9, day)) for day in (1, 8)}
    notices = [notice for notice in markets.reporter.notices if "counts as closed" in notice]
    assert [notice.split(" while ")[0] for notice in notices] == [
        "XHKG: no symbol has a bar of 2023-09-01", "XHKG: no symbol has a bar of 2023-09-08",
    ]  # fmt: skip
    aimed = (
        select(scores.c.state, scores.c.reason)
        .join(forecasts, forecasts.c.id == scores.c.forecast_id)
        .where(forecasts.c.symbol == "1398.HK", forecasts.c.target_session == date(2023, 9, 8))
    )
    assert {tuple(row) for row in rows(markets, aimed)} == {("void", "session 2023-09-08 was closed")}
    with TestClient(create_app(Settings(), markets.database)) as client:
        answer = client.get("/v1/forecasts/1398.HK", params={"as_of": "2023-09-07"}).json()
    assert answer["stale_after"] == "2023-09-11T11:30:00Z"


@here
@pytest.mark.parametrize(
    ("symbol", "until", "newest"),
    [
        ("4063.T", "2023-09-06T07:30", "2023-09-05"),  # Tokyo closes before New York opens
        ("REL.L", "2023-09-06T17:00", "2023-09-05"),  # so does London, while New York trades
        ("4063.T", "2023-09-05T07:30", "2023-09-01"),  # Labor Day between
        ("NYC", "2023-09-06T21:30", "2023-09-06"),
    ],
)
def test_a_reference_is_used_only_once_it_is_final(markets: Service, symbol: str, until: str, newest: str) -> None:
    moment = datetime.fromisoformat(until).replace(tzinfo=UTC)
    query = PanelQuery((symbol,), ("SPY",), moment, markets.context.settings.settle)
    with markets.database.reading() as connection:
        panel = load_panel(connection, query)
    assert str(panel.references["SPY"].sessions[-1]) == newest
    assert panel.histories[0].final_at[-1] == np.datetime64(until, "s")


@here
def test_currency_pair_and_crypto_currency_keep_their_own_weeks(database: Database, tmp_path: Path) -> None:
    """The euro's Sunday evenings belong to Monday; the crypto currency trades through the weekend."""
    folder = tmp_path / "prices"
    folder.mkdir()
    for symbol in ("EURUSD", "BTC-USD"):
        copy_since(RECORDED / f"{symbol}.csv.gz", folder / f"{symbol}.csv.gz", "2017-01-01")
    listed = ["symbol,group,calendar,currency", "EURUSD,fx,FX (Sun-Fri),USD per EUR", "BTC-USD,crypto,24/7,USD"]
    (folder / "manifest.csv").write_text("\n".join(listed) + "\n")
    options = ServiceOptions("2018-05-31T02:00:00Z", ("EURUSD", "BTC-USD"))
    service = make_service(database, tmp_path, FilesSource(folder), options)
    scheduler = service.scheduler()
    service.replay(scheduler, datetime(2018, 6, 5, 1, tzinfo=UTC))
    scheduler.close()
    columns = (forecasts.c.symbol, forecasts.c.as_of, forecasts.c.target_session)
    query = select(*columns).where(forecasts.c.strategy == "one_step").distinct()  # a refitted random walk adds one
    weeks: dict[str, list[tuple[str, str]]] = {"EURUSD": [], "BTC-USD": []}
    for row in sorted(tuple(found) for found in rows(service, query)):
        weeks[row[0]].append((f"{row[1]:%m-%d}", f"{row[2]:%m-%d}"))
    assert weeks["EURUSD"] == [("05-30", "05-31"), ("05-31", "06-01"), ("06-01", "06-04"), ("06-04", "06-05")]
    assert weeks["BTC-USD"] == [
        ("05-30", "05-31"), ("05-31", "06-01"), ("06-01", "06-02"), ("06-02", "06-03"), ("06-03", "06-04"),
        ("06-04", "06-05"),
    ]  # fmt: skip
    assert {row.state for row in rows(service, select(sessions.c.state))} == {"expected"}


def test_past_the_end_of_a_calendar_weekdays_are_used_and_flagged(database: Database, tmp_path: Path) -> None:
    """Shanghai's calendar ends in 2026."""
    walk = Walk("600000.SS", date(2026, 6, 1), date(2027, 1, 29), "XSHG", seed=1)
    service = make_service(
        database, tmp_path, RecordedWalks([walk]), ServiceOptions("2026-12-25T08:30:00Z", (walk.symbol,))
    )
    scheduler = service.scheduler()
    answers = {}
    for day in (datetime(2026, 12, 25, 9, tzinfo=UTC), datetime(2026, 12, 30, 9, tzinfo=UTC)):
        service.replay(scheduler, day)
        with TestClient(create_app(Settings(), database)) as client:
            answer = client.get(f"/v1/forecasts/{walk.symbol}").json()
        targets = [step["target_session"] for step in answer["multi_step"]["steps"]]
        answers[answer["as_of"]] = (answer["approximate"], targets)
    scheduler.close()
    assert answers == {
        "2026-12-25": (False, ["2026-12-28", "2026-12-29", "2026-12-30"]),
        "2026-12-30": (True, ["2026-12-31", "2027-01-01", "2027-01-04"]),
    }
