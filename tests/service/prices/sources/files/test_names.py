"""Symbols from file names and tickers."""

import pytest

from service.prices.sources.files.names import FileName, normalise_symbol, parse_name, price_suffix


@pytest.mark.parametrize(
    ("name", "symbol", "vendor"),
    [
        ("AAPL.csv", "AAPL", ""),
        ("aapl.csv", "AAPL", ""),
        ("BRK.B.csv.gz", "BRK.B", ""),
        ("^GSPC.CSV", "^GSPC", ""),
        ("7203.T.parquet", "7203.T", ""),
        ("BTC-USD.tsv", "BTC-USD", ""),
        ("EURUSD=X.txt", "EURUSD=X", ""),
        ("aapl.us.txt", "AAPL", "Stooq"),
        ("aapl_us_d.csv", "AAPL", "Stooq"),
        ("^spx.txt", "^SPX", ""),
        ("vod.uk.txt", "VOD.L", "Stooq"),
        ("7203_jp_d.csv", "7203.T", "Stooq"),
        ("SAP.DE.csv", "SAP.DE", ""),
        ("daily_adjusted_AAPL.csv", "AAPL", ""),
        ("daily_IBM.csv", "IBM", ""),
        ("AAPL Historical Data.csv", "AAPL", ""),
        ("AAPL Historical Data (1).csv", "AAPL", ""),
        ("MSFT (2).csv", "MSFT", ""),
        ("NASDAQ_AAPL, 1D.csv", "AAPL", ""),
        ("AAPL_2015-01-01_2020-01-01.csv", "AAPL", ""),
        ("AAPL_data.csv", "AAPL", ""),
        ("yfinance_AAPL.csv", "AAPL", ""),
        ("HistoricalData_1700000000000.csv", "", ""),
        ("Apple Inc Stock Price History.csv", "", ""),
    ],
)
def test_the_symbol_is_the_stem_without_affixes(name: str, symbol: str, vendor: str) -> None:
    assert parse_name(name) == FileName(symbol, vendor)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("A.csv", ".csv"),
        ("A.CSV.GZ", ".CSV.GZ"),
        ("A.txt.gz", ".txt.gz"),
        (".csv", None),
        ("A.xlsx", None),
        ("README.txt", None),
        ("licence.txt", None),
        ("A", None),
    ],
)
def test_the_ending_of_a_price_file(name: str, suffix: str | None) -> None:
    assert price_suffix(name) == suffix


@pytest.mark.parametrize(
    ("text", "vendor", "symbol"),
    [
        (" aapl ", "", "AAPL"),
        ("AAPL.US", "", "AAPL"),
        ("VOD.UK", "Stooq", "VOD.L"),
        ("VOD.UK", "", "VOD.UK"),
        ("two words", "", ""),
        ("", "", ""),
        ("A" * 41, "", ""),
    ],
)
def test_a_ticker_is_a_symbol_in_capitals(text: str, vendor: str, symbol: str) -> None:
    assert normalise_symbol(text, vendor) == symbol
