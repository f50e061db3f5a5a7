"""`tplus files`: checks a folder of price files."""

from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.common import JsonFlag, echo, emit
from service.errors import SourceError
from service.log_config import configure_logs
from service.prices.sources.files import FilesSource
from service.prices.sources.files.check import FileReport, SymbolReport, check_folder
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
    reports = check_folder(FilesSource(folder), settings.calendar_of)
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
