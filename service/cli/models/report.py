"""`tplus report`: evaluates a backtest on the terminal, as JSON and as a page."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.networks import WINDOW_NETWORKS
from service.backtest.report.ablation_tables import (
    age_table,
    disagreement_table,
    lookback_table,
    missing_table,
    seed_table,
)
from service.backtest.report.cells import TextTable
from service.backtest.report.document import Report, make_report, to_dict
from service.backtest.report.html import page, summary
from service.backtest.report.reader import ReportError, read_files
from service.backtest.report.tables import coverage_table, direction_table, leaderboard_table, losses_table
from service.cli.common import JsonFlag, emit

PIPE_WIDTH = 240
"""Columns of text without a terminal."""

_TABLES = (leaderboard_table, coverage_table, losses_table, direction_table, age_table, lookback_table)
"""Tables of a comparison set on the terminal; the page has more."""

app = typer.Typer()


@app.command("report")
def report(
    files: Annotated[list[Path], typer.Argument(help="Parquet files of `tplus backtest`; rows are combined.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write the page with plots to this HTML file.")] = None,
    champion: Annotated[
        str | None,
        typer.Option("--champion", help="Forecaster to compare with the others; default: the best network."),
    ] = None,
    only: Annotated[str, typer.Option("--only", help="Forecasters to compare, A,B,C; default: all.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Print the leaderboard of a backtest, and write the page to --out."""
    names = tuple(name.strip() for name in only.split(",") if name.strip())
    report = make_report(read_files(files, names), tuple(path.name for path in files), champion, WINDOW_NETWORKS)
    if out is not None:
        _write(out, page(report))
    if as_json:
        emit(to_dict(report))
    else:
        _show(report, out)


def _write(out: Path, text: str) -> None:
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReportError(f"the page cannot be written to {out}: {error.strerror}; name another file") from error


def _show(report: Report, out: Path | None) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH, markup=False)
    console.print(summary(report))
    for findings in report.comparison_sets:
        for make in _TABLES:
            _print(console, make(findings))
        if any(findings.comparison.missing.values()):
            _print(console, missing_table(findings))
        for note in findings.notes:
            console.print(f"note: {note}")
    for table in (disagreement_table(report), seed_table(report)):
        _print(console, table)
    for note in report.notes:
        console.print(f"note: {note}")
    if out is not None:
        console.print(f"the page with plots is {out}")


def _print(console: Console, table: TextTable) -> None:
    if not table.rows:
        return
    shown = Table(title=table.title, title_justify="left", caption=table.note or None, caption_justify="left")
    for place, head in enumerate(table.columns):
        shown.add_column(head, justify="right" if place else "left")
    for row in table.rows:
        shown.add_row(*row)
    console.print(shown)
