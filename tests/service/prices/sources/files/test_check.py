"""The report on a folder."""

from datetime import date
from pathlib import Path

from service.prices.sources.files import FilesSource
from service.prices.sources.files.check import (
    FileReport,
    MatchCalendar,
    MatchedCalendar,
    SymbolReport,
    check_folder,
)
from tests.support.price_files import FORMS, ORDINARY


def stated(source: FilesSource, **calendars: str) -> MatchCalendar:
    """A match that takes every calendar as it is stated."""

    def match(symbol: str) -> MatchedCalendar:
        series = source.load(symbol).series
        return MatchedCalendar(calendars.get(symbol, series.calendar), series.first, series.last)

    return match


def test_every_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "made.csv").write_bytes(FORMS["German"].content)
    (tmp_path / "all.csv").write_text("Symbol,Date,Close\nGOOD.L,2018-12-31,1\nBAD,2018-12-31,one\n")
    (tmp_path / "bad.csv").write_text("when,what\n1,2\n")
    (tmp_path / "notes.md").write_text("no prices")
    (tmp_path / "actions.csv").write_text("symbol,date,dividend,split\n")
    source = FilesSource(tmp_path)
    reports = check_folder(source, stated(source, MADE="XETR"))
    price_returns = "neither adjusted closes nor actions: used as price returns"
    form = "prices, one row per date"
    assert reports == (
        FileReport(Path("actions.csv"), "list of actions"),
        FileReport(
            Path("all.csv"),
            f"{form}, a column of symbols",
            (
                SymbolReport(
                    "GOOD.L", 1, date(2018, 12, 31), date(2018, 12, 31), "XLON", "unknown", (price_returns,)
                ),
                SymbolReport("BAD", reason=f"{tmp_path}/all.csv:3: close 'one' is not a number; repair the line"),
            ),
        ),
        FileReport(
            Path("bad.csv"),
            None,
            reason=f"{tmp_path}/bad.csv:1: the header needs one column date and one column close, "
            "it has 'when, what'; write date,open,high,low,close,adj_close,volume",
        ),
        FileReport(
            Path("made.csv"),
            form,
            (
                SymbolReport(
                    "MADE", 8, date(2018, 12, 24), date(2019, 1, 4), "XETR", "unknown",
                    ("fields separated by semicolons", "dates are day, month, year", "decimal comma", price_returns),
                ),
            ),
        ),
        FileReport(
            Path("notes.md"),
            None,
            reason="not a price file: its name ends in none of .csv, .parquet, .tsv, .txt",
            skipped=True,
        ),
    )  # fmt: skip
    assert [report.refused for report in reports] == [False, True, True, False, False]


def test_both_files_of_one_symbol_are_refused(tmp_path: Path) -> None:
    for name in ("MADE.csv", "MADE.txt"):
        (tmp_path / name).write_text(ORDINARY)
    source = FilesSource(tmp_path)
    first, second = check_folder(source, stated(source))
    assert first.refused
    assert second.refused
    assert first.reason == second.reason
    assert first.reason is not None
    assert first.reason.startswith("MADE: served by ")


def test_a_fault_of_a_whole_file_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("Symbol,Date,Close\nA,05/06/2020,1\nB,05/06/2020,1\n")
    source = FilesSource(tmp_path)
    (report,) = check_folder(source, stated(source))
    assert report.reason == (
        f"{tmp_path}/all.csv:2: date '05/06/2020' can be day or month first and no line settles it; write ISO dates"
    )
    assert [symbol.reason for symbol in report.symbols] == [report.reason] * 2
