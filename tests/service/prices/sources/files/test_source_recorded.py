"""The recorded prices of ../shared/prices through the files source: real files with real faults."""

import csv
import gzip
import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from service.prices.sources.base import Action, ActionKind, Record
from service.prices.sources.files import FilesSource
from tests.support.paths import PRICES

pytestmark = pytest.mark.skipif(not PRICES.is_dir(), reason="the recorded prices of ../shared/prices are not here")

AFTER = datetime(2024, 12, 31, 23, tzinfo=UTC)


@pytest.fixture(scope="module")
def source() -> FilesSource:
    return FilesSource(PRICES)


def test_every_file_is_served_whole(source: FilesSource) -> None:
    with (PRICES / "manifest.csv").open() as file:
        rows = {row["symbol"]: int(row["rows"]) for row in csv.DictReader(file)}
    assert set(source.symbols()) == set(rows)
    served = {symbol: len(source.fetch(symbol, None, AFTER).bars) for symbol in rows}
    # 620 Sunday evenings of the euro are merged into their Mondays.
    assert {symbol: rows[symbol] - n for symbol, n in served.items() if n != rows[symbol]} == {"EURUSD": 620}
    assert source.record() == Record(date(1990, 1, 2), date(2024, 9, 20))


def test_calendars_and_instrument_types(source: FilesSource) -> None:
    metas = {
        symbol: source.fetch(symbol, None, AFTER).meta
        for symbol in (
            "AAPL",
            "SPY",
            "^VIX",
            "^GSPC",
            "4063.T",
            "REL.L",
            "TEP.PA",
            "IBE.MC",
            "1398.HK",
            "EURUSD",
            "BTC-USD",
        )
    }
    assert {symbol: (meta.calendar, meta.instrument_type) for symbol, meta in metas.items()} == {
        "AAPL": ("XNYS", "EQUITY"),
        "SPY": ("XNYS", "ETF"),
        "^VIX": ("XNYS", "INDEX"),
        "^GSPC": ("XNYS", "INDEX"),
        "4063.T": ("XTKS", "EQUITY"),
        "REL.L": ("XLON", "EQUITY"),
        "TEP.PA": ("XPAR", "EQUITY"),
        "IBE.MC": ("XMAD", "EQUITY"),
        "1398.HK": ("XHKG", "EQUITY"),
        "EURUSD": ("24/5", "CURRENCY"),
        "BTC-USD": ("24/7", "CRYPTOCURRENCY"),
    }


def test_apples_split_of_2014_appears_on_its_day(source: FilesSource) -> None:
    eve = source.fetch("AAPL", date(2014, 6, 5), datetime(2014, 6, 6, 23, tzinfo=UTC))
    assert eve.bars["close"].tolist() == pytest.approx([647.35, 645.57], abs=1e-2)
    day = source.fetch("AAPL", date(2014, 6, 5), datetime(2014, 6, 9, 15, tzinfo=UTC))
    assert day.bars["close"].tolist() == pytest.approx([92.478, 92.224, 93.7], abs=1e-3)
    (split,) = day.actions
    assert (split.ex_date, split.kind) == (date(2014, 6, 9), ActionKind.SPLIT)
    assert split.value == pytest.approx(7, abs=1e-5)


def test_derived_factors_fall_on_the_known_ex_dates(tmp_path: Path, source: FilesSource) -> None:
    """A file without its list of actions gives factors on the dates of its dividends."""
    for symbol in ("KO", "IBM", "MSFT"):
        (tmp_path / f"{symbol}.csv.gz").write_bytes((PRICES / "us_stocks" / f"{symbol}.csv.gz").read_bytes())
    bare = FilesSource(tmp_path)
    for symbol, count in (("KO", 77), ("IBM", 77), ("MSFT", 60)):
        listed = [a for a in source.fetch(symbol, None, AFTER).actions if a.kind is ActionKind.DIVIDEND]
        derived = bare.fetch(symbol, None, AFTER).actions
        assert [a.ex_date for a in derived] == [a.ex_date for a in listed]
        assert len(derived) == count
        assert all(0.88 < a.value < 1.0 for a in derived)


def test_currencies_crypto_and_indices_have_no_actions(source: FilesSource) -> None:
    for symbol in ("EURUSD", "BTC-USD", "^VIX", "^GSPC"):
        assert source.fetch(symbol, None, AFTER).actions == ()
    assert len(source.fetch("SPY", None, AFTER).actions) == 85


def test_a_monday_bar_of_the_euro_opens_on_sunday(source: FilesSource) -> None:
    with gzip.open(PRICES / "other_markets" / "EURUSD.csv.gz", "rt") as file:
        rows = {row["date"]: row for row in csv.DictReader(file)}
    sunday, monday = rows["2018-12-09"], rows["2018-12-10"]
    bar = source.fetch("EURUSD", date(2018, 12, 10), datetime(2018, 12, 10, 12, tzinfo=UTC)).bars.iloc[0]
    assert bar["open"] == float(sunday["open"])
    assert bar["high"] == max(float(sunday["high"]), float(monday["high"]))
    assert bar["close"] == float(monday["close"])


def test_files_are_read_fast() -> None:
    """51 files of twenty years take well under a second, ten sessions of a parsed file about a millisecond."""
    folder = FilesSource(PRICES / "us_stocks")
    symbols = folder.symbols()
    folder.fetch(symbols[0], None, AFTER)  # the calendar is built once per process
    began = time.process_time()
    for symbol in symbols:
        folder.fetch(symbol, None, AFTER)
    assert time.process_time() - began < 2.0, "0.2 s on an idle core"

    began = time.process_time()
    for symbol in symbols:
        folder.fetch(symbol, date(2018, 12, 14), AFTER)
    assert (time.process_time() - began) / len(symbols) < 0.01, "0.4 ms on an idle core"


def test_a_listed_dividend_keeps_its_value(source: FilesSource) -> None:
    special = Action(date(2012, 12, 6), ActionKind.DIVIDEND, 7.0)
    assert special in source.fetch("COST", None, AFTER).actions
