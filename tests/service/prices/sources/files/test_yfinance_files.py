"""Files that the real yfinance writes, from answers of the stand-in."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest
import yfinance

from service.prices.sources.base import ActionKind
from service.prices.sources.files import FilesSource
from service.prices.sources.yahoo import YahooSource
from tests.support.standin import Standin, StandinSymbol, reset_yfinance

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")

# Thursday 15 November 2018, an hour after the close in New York.
NOW = datetime(2018, 11, 15, 22, tzinfo=UTC)
START = date(2018, 11, 1)
SESSIONS = ["2018-11-01", "2018-11-02", "2018-11-05", "2018-11-06", "2018-11-07", "2018-11-08", "2018-11-09"]
PAYING = StandinSymbol(date(2018, 10, 1), dividends={date(2018, 11, 8): 2.5}, seed=2)
TOKYO = StandinSymbol(
    date(2018, 10, 1), calendar="XTKS", meta={"exchangeName": "JPX", "exchangeTimezoneName": "Asia/Tokyo"}
)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[YahooSource]:
    reset_yfinance()
    with Standin({"MADE": PAYING, "7001.T": TOKYO}, NOW) as running:
        yield YahooSource(tmp_path / "cache", running.url)
    reset_yfinance()


def history(source: YahooSource, symbol: str, auto_adjust: bool) -> pd.DataFrame:
    """Return what `Ticker.history` answers to a user."""
    ticker = yfinance.Ticker(symbol, session=source._session)
    answer: pd.DataFrame = ticker.history(start="2018-11-01", end="2018-11-10", auto_adjust=auto_adjust)
    return answer


@pytest.mark.parametrize(("symbol", "calendar"), [("MADE", "XNYS"), ("7001.T", "XTKS")])
def test_a_history_is_read_with_its_local_dates(
    tmp_path: Path, source: YahooSource, symbol: str, calendar: str
) -> None:
    table = history(source, symbol, auto_adjust=True)
    table.to_csv(tmp_path / f"{symbol}.csv")
    loaded = FilesSource(tmp_path).load(symbol)
    assert [str(day) for day in loaded.series.sessions] == SESSIONS
    assert loaded.series.bars[:, 3].tolist() == table["Close"].tolist()
    assert (loaded.form, loaded.adjustment) == ("yfinance, history of one symbol", "total")
    assert loaded.series.calendar == calendar
    assert loaded.series.actions == ()  # adjusted closes show no drop


def test_an_unadjusted_history_gives_its_dividend_as_a_factor(tmp_path: Path, source: YahooSource) -> None:
    history(source, "MADE", auto_adjust=False).to_csv(tmp_path / "MADE.csv")
    loaded = FilesSource(tmp_path).load("MADE")
    assert loaded.adjustment == "split"
    (factor,) = loaded.series.actions
    assert (factor.ex_date, factor.kind) == (date(2018, 11, 8), ActionKind.FACTOR)
    assert factor.value == pytest.approx(1 - 2.5 / loaded.series.bars[4, 3], abs=1e-6)


def test_a_download_of_one_symbol_is_read(tmp_path: Path, source: YahooSource) -> None:
    table = yfinance.download(
        "MADE", start="2018-11-01", end="2018-11-10", session=source._session, progress=False, threads=False
    )
    assert table is not None
    table.to_csv(tmp_path / "download.csv")
    table.to_parquet(tmp_path / "same.parquet")
    for name in ("download.csv", "same.parquet"):
        folder = tmp_path / name.split(".")[0]
        folder.mkdir()
        (tmp_path / name).rename(folder / name)
        loaded = FilesSource(folder).load("MADE")
        assert (loaded.form, loaded.adjustment) == ("yfinance, one symbol", "total")
        assert [str(day) for day in loaded.series.sessions] == SESSIONS
        assert loaded.series.bars[:, 3].tolist() == table[("Close", "MADE")].tolist()
