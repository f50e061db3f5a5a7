"""`tplus backfill`: forecasts for past sessions without one, with a mode and track record of their own."""

from typing import Annotated

import typer

from service.bootstrap import require_watchlist
from service.cli.common import FirstSession, JsonFlag, LastSession, echo, emit, parse_names, service
from service.forecasts.backfill.backfill_job import BackfillSummary, backfill
from service.forecasts.backfill.span import BackfillRequest

REFUSALS_SHOWN = 12
"""Refused symbols shown as text; `--json` has them all."""

app = typer.Typer()

_Calendar = Annotated[str, typer.Argument(help="Calendar, for example XNYS or 24/7.")]
_Symbols = Annotated[str, typer.Option("--symbols", metavar="A,B", help="Only these symbols, separated by commas.")]


@app.command("backfill")
def backfill_forecasts(
    calendar: _Calendar, first: FirstSession, last: LastSession, symbols: _Symbols = "", as_json: JsonFlag = False
) -> None:
    """Backfill missing forecasts with versions that have not seen those sessions. Run again to resume."""
    request = BackfillRequest(calendar, first, last, parse_names(symbols))
    with service(quiet=as_json) as context:
        with context.database.reading() as connection:
            require_watchlist(connection)
        summary = backfill(context, request)
    if as_json:
        emit(_document(summary))
        return
    for line in _lines(summary):
        echo(line)


def _document(summary: BackfillSummary) -> dict[str, object]:
    return {
        "calendar": summary.calendar,
        "first": summary.sessions[0],
        "last": summary.sessions[-1],
        "sessions": len(summary.sessions),
        "editions": [{"as_of": edition.as_of, "number": edition.number} for edition in summary.editions],
        "published": summary.published,
        "already_stored": summary.already_stored,
        "without_bar": summary.without_bar,
        "refused": [
            {"symbol": symbol, "sessions": refused.sessions, "reason": refused.reason}
            for symbol, refused in sorted(summary.refused.items())
        ],
    }


def _lines(summary: BackfillSummary) -> list[str]:
    lines = [
        f"{summary.calendar}, as of {summary.sessions[0]} to {summary.sessions[-1]}: {summary.published} forecasts of "
        f"symbols published in {len(summary.editions)} editions of mode backfill",
        f"{summary.already_stored} already stored, {summary.without_bar} without a bar",
    ]
    refused = sorted(summary.refused.items())
    for _, symbol in refused[:REFUSALS_SHOWN]:
        lines.append(f"refused at {symbol.sessions} sessions; reason of the last: {symbol.reason}")
    if len(refused) > REFUSALS_SHOWN:
        lines.append(f"and {len(refused) - REFUSALS_SHOWN} more symbols were refused; see --json")
    return lines
