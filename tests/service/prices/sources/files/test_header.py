"""Headers of price files: their columns, symbols and vendors."""

import pytest

from service.prices.sources.files.header import (
    Adjustment,
    HeaderFault,
    Layout,
    find_header,
    order_names,
    tuple_header,
)


def layout(*lines: str) -> Layout:
    found = find_header([line.split(";") for line in lines])
    assert isinstance(found, Layout), found
    return found


def fields(found: Layout) -> dict[str, int]:
    return {column.field: column.position for column in found.columns}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Date;Open;High;Low;Close;Volume", {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5}),
        ("VOLUME;close;DATE", {"close": 1, "volume": 0}),
        ("Datum;Eröffnung;Hoch;Tief;Schluss;Volumen", {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5}),
        ("Datum;Erster;Hoch;Tief;Schlußkurs;Stücke;Volumen", {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5}),
        ("Date;Ouverture;Plus haut;Plus bas;Clôture;Volume", {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5}),
        ("date;ouv;haut;bas;clot;vol;devise", {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5}),
        ("date;ouv;haut", None),
        ("Fecha;Apertura;Máximo;Mínimo;Cierre;Volumen", {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5}),
        ("Fecha;Último;Apertura;Máximo;Mínimo;Vol.", {"close": 1, "open": 2, "high": 3, "low": 4, "volume": 5}),
        ("Data;Apertura;Massimo;Minimo;Chiusura;Volume", {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5}),
        ("Data;Ultimo;Apertura;Massimo;Minimo;Vol.", {"close": 1, "open": 2, "high": 3, "low": 4, "volume": 5}),
        ("Date;Dernier;Ouv.; Plus Haut;Plus Bas;Vol.", {"close": 1, "open": 2, "high": 3, "low": 4, "volume": 5}),
        ("time;open;high;low;close;Volume", {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5}),
        (";Open;Close", {"open": 1, "close": 2}),
        ("Unnamed: 0;Date;Close", {"close": 2}),
        ("Date;Price;Close", {"close": 2}),
    ],
)
def test_words_of_a_header(header: str, expected: dict[str, int] | None) -> None:
    found = find_header([header.split(";")])
    assert (fields(found) if isinstance(found, Layout) else None) == expected


@pytest.mark.parametrize(
    ("lines", "form", "adjustment"),
    [
        (["Date;Open;Close"], "prices, one row per date", Adjustment.UNKNOWN),
        (["Date;Open;Close;Adj Close"], "Yahoo download", Adjustment.SPLIT),
        (["date;close;adj_close"], "prices with adjusted closes", Adjustment.SPLIT),
        (["Date;Adj Close"], "adjusted closes", Adjustment.TOTAL),
        (["Price;Close;Open", "Ticker;A;A", "Date;;"], "yfinance, one symbol", Adjustment.TOTAL),
        (["Price;Adj Close;Close", "Ticker;A;A", "Date;;"], "yfinance, one symbol", Adjustment.SPLIT),
        (["Price;Close;Close", "Ticker;A;7203.T", "Date;;"], "yfinance, several symbols", Adjustment.TOTAL),
        (["Ticker;A;B", "Price;Close;Close", "Date;;"], "yfinance, several symbols", Adjustment.TOTAL),
        (["Date;Open;Close;Dividends;Stock Splits"], "yfinance, history of one symbol", Adjustment.TOTAL),
        (["<TICKER>;<PER>;<DATE>;<CLOSE>"], "Stooq", Adjustment.TOTAL),
        (["<DATE>;<OPEN>;<CLOSE>;<TICKVOL>;<VOL>"], "prices, one row per date", Adjustment.UNKNOWN),
        (["Unnamed: 0;Date;A;B"], "closes, one column per symbol", Adjustment.UNKNOWN),
        (["timestamp;open;high;low;close;volume"], "Alpha Vantage", Adjustment.UNKNOWN),
        (["Date;Close/Last;Volume;Open"], "Nasdaq.com", Adjustment.SPLIT),
        (["Date;Price;Open;High;Low;Vol.;Change %"], "Investing.com", Adjustment.SPLIT),
        (["Date;A;B"], "closes, one column per symbol", Adjustment.UNKNOWN),
        (["date;close;Name"], "prices, one row per date, a column of symbols", Adjustment.UNKNOWN),
    ],
)
def test_the_form_states_the_adjustment(lines: list[str], form: str, adjustment: Adjustment) -> None:
    found = layout(*lines)
    assert (found.form, found.adjustment, found.first_row) == (form, adjustment, len(lines))


def test_a_row_after_stooqs_header_is_no_second_header_line() -> None:
    found = layout("<TICKER>;<PER>;<DATE>;<TIME>;<CLOSE>", "A.US;D;20181228;0;5")
    assert (found.symbol, found.period, found.date, found.first_row) == (0, 1, 2, 1)


def test_a_header_may_follow_other_lines() -> None:
    assert layout("Prices of a company", "", "Date;Close", "2018-12-31;5").first_row == 3


@pytest.mark.parametrize(
    ("lines", "line", "words"),
    [
        ([""], 1, "the header needs one column date and one column close, it has ''"),
        (["when;what"], 1, "it has 'when, what'"),
        (["Title", "date;open"], 2, "it has 'date, open'"),
        (["date;close;Close"], 1, "it has 'date, close, Close'"),
        (["date;close;high;High"], 1, "the header has high twice; keep one of them"),
        (["date;AAPL;aapl"], 1, "the header needs"),
        (["date;AAPL;AAPL"], 1, "the header has AAPL twice; keep one of them"),
        (["x" * 300], 1, "it has '" + "x" * 60 + "...'"),
        (["Price;Close;Close", "Ticker;A;A", "Date;;"], 1, "the header has a field of a symbol twice"),
    ],
)
def test_another_header_is_refused_with_its_line(lines: list[str], line: int, words: str) -> None:
    found = find_header([each.split(";") for each in lines])
    assert isinstance(found, HeaderFault)
    assert found.line == line
    assert words in found.reason


def test_parquet_names_of_two_levels_are_two_header_rows() -> None:
    names = order_names(["('Close', 'A')", "('Close', 'B')", "Date"])
    assert tuple_header(names) == [["", "Close", "Close"], ["Date", "A", "B"]]
    assert tuple_header(["Date", "Close"]) == [["Date", "Close"]]
