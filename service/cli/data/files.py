"""`tplus files`: checks a folder of price files."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.common import JsonFlag, echo, emit
from service.clock import process_now
from service.errors import SourceError
from service.log_config import configure_logs
from service.market.exchange_calendar import get_calendar
from service.prices.pull.calendar_check import CalendarChecker
from service.prices.sources.files import FilesSource
from service.prices.sources.files.check import (
    FileReport,
    MatchCalendar,
    MatchedCalendar,
    SymbolReport,
    check_folder,
)
from service.prices.sources.files.limits import printable
from service.settings import load_settings

app = typer.Typer(name="files", help="Check a folder of price files.", no_args_is_help=True)


@app.callback()
def _files() -> None:
    """Check a folder of price files."""


@app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of TPLUS_SOURCE=files:DIR.")],
    as_json: JsonFlag = False,
) -> None:
    """List every file of a folder: what it is read as, or why not. Exits 1 if one is refused."""
    settings = load_settings()
    configure_logs(settings.log_level)
    source = FilesSource(folder)
    reports = check_folder(source, matcher(source, settings.calendar_of, process_now()))
    if as_json:
        emit({"files": [_document(report) for report in reports]})
    else:
        for report in reports:
            _show(report)
    if not any(report.symbols for report in reports) and not any(report.refused for report in reports):
        raise SourceError(f"{printable(folder)} holds no price file; add CSV or Parquet files")
    refused = sum(report.refused for report in reports)
    if refused:
        raise SourceError(f"{refused} of {len(reports)} files are refused; the reason of each is listed with it")


def matcher(source: FilesSource, calendar_of: Mapping[str, str], at: datetime) -> MatchCalendar:
    """Return a function that checks the rows of a symbol against its calendar, as a pull does.

    Args:
        source: The folder.
        calendar_of: Calendars of the settings by symbol, which have priority.
        at: Aware UTC instant; rows that are not final by then do not count.
    """
    checker = CalendarChecker(dict(calendar_of), get_calendar, at.date())

    def match(symbol: str) -> MatchedCalendar:
        dated = checker.fetch(partial(source.fetch, symbol), None, None, at)
        days = dated.history.bars.index
        notes = [dated.notice] if dated.notice is not None else []
        if dated.fault is not None:
            notes.append(f"a pull holds it: {dated.fault}")
        elif dated.use.approximate and not notes:
            notes.append("the calendar is assumed; a manifest or TPLUS_CALENDARS names it")
        return MatchedCalendar(dated.use.name, days[0].date(), days[-1].date(), tuple(notes))

    return match


def _document(report: FileReport) -> dict[str, Any]:
    fields = SymbolReport.__slots__
    return {
        "path": printable(report.path),
        "read_as": report.read_as,
        "reason": report.reason,
        "skipped": report.skipped,
        "symbols": [{field: getattr(symbol, field) for field in fields} for symbol in report.symbols],
    }


def _show(report: FileReport) -> None:
    what = f"read as {report.read_as}" if report.read_as else "skipped" if report.skipped else "refused"
    echo(f"{printable(report.path)}: {what}{f': {report.reason}' if report.reason else ''}")
    for symbol in report.symbols:
        if symbol.reason is None:
            span = f"{symbol.rows} rows, {symbol.first} to {symbol.last}"
            echo(f"    {symbol.symbol}: {span}, calendar {symbol.calendar}, adjustment {symbol.adjustment}")
            for note in symbol.notes:
                echo(f"        {note}")
        elif report.reason is None:
            echo(f"    {symbol.symbol}: refused: {symbol.reason}")
