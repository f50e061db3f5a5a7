"""Every ordinary form of a price file gives the same bars."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from service.prices.sources.base import Malformed, NoData, UnknownSymbol
from service.prices.sources.files import FilesSource
from tests.support.price_files import FORMS, ORDINARY, Form, frame, parquet, write_form

AT = datetime(2019, 1, 4, 23, tzinfo=UTC)
SESSIONS = [
    date(2018, 12, 24), date(2018, 12, 26), date(2018, 12, 27), date(2018, 12, 28), date(2018, 12, 31),
    date(2019, 1, 2), date(2019, 1, 3), date(2019, 1, 4),
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_gives_the_same_bars(tmp_path: Path, form: Form) -> None:
    write_form(tmp_path, form)
    source = FilesSource(tmp_path)

    bars = source.fetch("MADE", None, AT).bars
    loaded = source.load("MADE")

    assert [day.date() for day in bars.index] == SESSIONS
    assert bars["close"].tolist() == [1046.83, 1057.17, 1056.15, 1056.23, 1057.74, 1057.92, 1042.19, 1048.26]
    assert loaded.adjustment == form.adjustment
    assert loaded.series.actions == ()
    if form.columns == 1:
        assert bars.drop(columns="close").isna().all(axis=None)
    else:
        assert bars.iloc[0].tolist() == pytest.approx([1046.15, 1051.55, 1046.05, 1046.83, 37100000], rel=1e-12)
        assert bars.iloc[6].tolist() == pytest.approx([1043.98, 1045.72, 1042.00, 1042.19, 91300000], rel=1e-12)


@pytest.mark.parametrize("name", ["yfinance, several symbols", "yfinance by ticker", "wide", "long"])
def test_several_symbols_in_one_file_are_several_series(tmp_path: Path, name: str) -> None:
    write_form(tmp_path, FORMS[name])
    source = FilesSource(tmp_path)
    assert source.symbols() == ("ELSE", "MADE")
    expected = 101.93 if name == "wide" else 1048.26
    assert source.fetch("ELSE", None, AT).bars["close"].iloc[-1] == expected


def test_symbols_of_other_calendars_leave_no_empty_rows(tmp_path: Path) -> None:
    (tmp_path / "closes.csv").write_text("Date,MADE,BTC-USD\n2018-12-28,5,100\n2018-12-29,,101\n2018-12-31,6,102\n")
    source = FilesSource(tmp_path)
    assert source.fetch("MADE", None, AT).bars["close"].tolist() == [5.0, 6.0]
    assert source.fetch("BTC-USD", None, AT).bars["close"].tolist() == [100.0, 101.0, 102.0]


def test_a_wrong_cell_refuses_its_symbol_alone(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    path.write_text(
        "Symbol,Date,Close\nGOOD,2018-12-28,5\nBAD,2018-12-28,five\nLATE,2018-13-28,7\nGOOD,2018-12-31,6\n"
        "TWICE,2018-12-31,1\nTWICE,2018-12-31,2\n"
    )
    source = FilesSource(tmp_path)
    assert source.fetch("GOOD", None, AT).bars["close"].tolist() == [5.0, 6.0]
    for symbol, words in (
        ("BAD", f"{path}:3: close 'five' is not a number; repair the line"),
        ("LATE", f"{path}:4: date '2018-13-28' is not an ISO date such as 2018-12-31; repair the line"),
        ("TWICE", f"{path}:7: date 2018-12-31 is there twice; sort the rows by date, one row per date"),
    ):
        with pytest.raises(Malformed) as caught:
            source.fetch(symbol, None, AT)
        assert str(caught.value) == words


def test_the_symbol_of_a_column_or_header_precedes_that_of_the_name(tmp_path: Path) -> None:
    (tmp_path / "YF3.csv").write_text("Price,Close\nTicker,AAA\nDate,\n2018-12-31,5\n")
    source = FilesSource(tmp_path)
    assert source.symbols() == ("AAA",)
    with pytest.raises(UnknownSymbol, match=r"YF3: .*YF3\.csv holds AAA; use that symbol"):
        source.fetch("YF3", None, AT)


def test_rows_of_another_period_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "made.us.txt"
    path.write_text("<TICKER>,<PER>,<DATE>,<TIME>,<CLOSE>\nMADE.US,D,20181228,0,5\nMADE.US,5,20181231,0,6\n")
    with pytest.raises(Malformed, match=r"made\.us\.txt:3: the period '5' is not D; daily rows are needed"):
        FilesSource(tmp_path).fetch("MADE", None, AT)


def test_null_words_and_empty_lines_are_no_figures(tmp_path: Path) -> None:
    (tmp_path / "MADE.csv").write_text(
        "Date,Open,Close,Volume\n2018-12-27,$5,$5,1\n,,,\n2018-12-28,null,null,null\n2018-12-31,N/A,6,-\n"
    )
    bars = FilesSource(tmp_path).fetch("MADE", None, AT).bars
    assert np.isnan(bars["open"].tolist()).tolist() == [False, True, True]
    assert np.isnan(bars["close"].tolist()).tolist() == [False, True, False]
    assert bars["volume"].tolist()[0] == 1.0


def test_a_parquet_file_without_rows_has_no_data(tmp_path: Path) -> None:
    (tmp_path / "MADE.parquet").write_bytes(parquet(frame().iloc[:0]))
    with pytest.raises(NoData, match="the file holds no rows"):
        FilesSource(tmp_path).fetch("MADE", None, AT)


def test_mixed_decimal_signs_are_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "MADE.csv"
    path.write_text("date;open;close\n2018-12-27;5,25;5,25\n2018-12-27;5,25;5,25\n2018-12-28;5.75;5.75\n")
    with pytest.raises(Malformed) as caught:
        FilesSource(tmp_path).fetch("MADE", None, AT)
    assert str(caught.value) == (
        f"{path}:4: decimal commas and decimal points are mixed; write all figures with one of them"
    )


def test_a_file_that_grows_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "MADE.csv"
    path.write_text(ORDINARY)
    source = FilesSource(tmp_path)
    assert len(source.fetch("MADE", None, AT).bars) == 8
    path.write_text("\n".join(ORDINARY.splitlines()[:-1]))
    assert len(source.fetch("MADE", None, AT).bars) == 7
