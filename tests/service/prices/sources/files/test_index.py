"""The index of a folder: which file holds which symbol."""

import os
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

from service.prices.sources.base import InstrumentMeta, Malformed
from service.prices.sources.files import FilesSource
from service.prices.sources.files.index import index_folder
from tests.support.price_files import FORMS, ORDINARY, write_form

AT = datetime(2019, 1, 4, 23, tzinfo=UTC)


def test_files_are_indexed_by_what_they_hold(tmp_path: Path) -> None:
    (tmp_path / "AAA.csv").write_text(ORDINARY)
    (tmp_path / "prices.csv").write_bytes(FORMS["yfinance, several symbols"].content)
    (tmp_path / "all.csv").write_text("Symbol,Date,Close\nCCC,2018-12-31,1\nBBB.US,2018-12-31,2\n")
    (tmp_path / "notes.md").write_text("no prices")
    (tmp_path / "README.txt").write_text("no prices")
    (tmp_path / "bad.csv").write_text("when,what\n1,2\n")
    index = index_folder(tmp_path)
    assert {symbol: [path.name for path in paths] for symbol, paths in index.files.items()} == {
        "AAA": ["AAA.csv"],
        "BAD": ["bad.csv"],
        "BBB": ["all.csv"],
        "CCC": ["all.csv"],
        "ELSE": ["prices.csv"],
        "MADE": ["prices.csv"],
    }
    assert sorted(path.name for path in index.skipped) == ["README.txt", "notes.md"]
    assert index.meta("AAA") == InstrumentMeta(calendar="XNYS", instrument_type="EQUITY")


def test_two_files_that_claim_one_symbol_are_both_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / "made.us.txt").write_text(ORDINARY)
    (tmp_path / "prices.csv").write_bytes(FORMS["yfinance, several symbols"].content)
    source = FilesSource(tmp_path)
    with pytest.raises(Malformed) as caught:
        source.fetch("MADE", None, AT)
    assert str(caught.value) == (
        f"MADE: served by {tmp_path / 'made.us.txt'} and {tmp_path / 'prices.csv'}; keep one of the files"
    )
    assert len(source.fetch("ELSE", None, AT).bars) == 8


def test_a_file_that_cannot_be_read_does_not_take_a_symbol_from_another(tmp_path: Path) -> None:
    (tmp_path / "MADE.csv").write_text(ORDINARY)
    (tmp_path / "MADE.txt").write_text("Made Inc. is a company.\n")
    source = FilesSource(tmp_path)
    assert len(source.fetch("MADE", None, AT).bars) == 8
    assert source.symbols() == ("MADE",)


def test_a_list_gives_symbols_to_files(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "HistoricalData_1700000000000.csv").write_text(ORDINARY)
    source = FilesSource(tmp_path)
    (sentence,) = source.faults()
    assert sentence.endswith(
        "HistoricalData_1700000000000.csv: nothing names the symbol; rename it to SYMBOL.csv, "
        "or list file,symbol in symbols.csv"
    )
    (tmp_path / "symbols.csv").write_text("file,symbol\nbelow/HistoricalData_1700000000000.csv,made\n")
    source.begin_run()
    assert source.faults() == ()
    assert len(source.fetch("MADE", None, AT).bars) == 8


def test_a_list_with_a_wrong_symbol_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "symbols.csv").write_text("file,symbol\nA.csv,two words\n")
    with pytest.raises(Malformed, match=r"symbols\.csv:2: 'TWO WORDS' is not a symbol"):
        FilesSource(tmp_path).symbols()


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    path = write_form(tmp_path, FORMS["long"])
    first = index_folder(tmp_path)
    assert index_folder(tmp_path, first).claims[path] is first.claims[path]
    path.write_text(ORDINARY)
    os.utime(path, ns=(1, 1))
    assert index_folder(tmp_path, first).claims[path].symbols == ("ALL",)


def test_ambiguous_dates_follow_the_calendar_of_the_manifest(tmp_path: Path) -> None:
    # 3 January 2022 was a holiday in Tokyo alone; 4 January, 1 March and 1 April were sessions everywhere.
    (tmp_path / "MADE.csv").write_text("date,close\n01/03/2022,1\n01/04/2022,2\n")
    with pytest.raises(Malformed, match=r":2: date '01/03/2022' can be day or month first and no line settles it"):
        FilesSource(tmp_path).load("MADE")
    (tmp_path / "manifest.csv").write_text("symbol,group,calendar,currency\nMADE,x,TSE,JPY\n")
    assert str(FilesSource(tmp_path).load("MADE").series.first) == "2022-03-01"


@pytest.mark.parametrize("symbols", [pa.array([["MADE"]]), pa.array([b"\xff\xfe"])], ids=["lists", "no text"])
def test_a_column_of_symbols_that_is_no_text_refuses_its_file_alone(tmp_path: Path, symbols: pa.Array) -> None:
    (tmp_path / "MADE.csv").write_text(ORDINARY)
    table = pa.table({"date": ["2018-12-31"], "close": [1.0], "symbol": symbols})
    pa_parquet.write_table(table, tmp_path / "all.parquet")
    source = FilesSource(tmp_path)
    assert source.load("MADE").series.last == date(2019, 1, 4)
    (sentence,) = source.faults()
    assert sentence.startswith(f"{tmp_path}/all.parquet: a column has values of an unusable kind")
