"""`tplus backfill`: forecasts for past sessions without one, with a mode and track record of their own."""

from collections.abc import Sequence
from typing import Annotated

import typer

from service.bootstrap import require_watchlist
from service.cli.common import FirstSession, JsonFlag, LastSession, echo, emit, parse_names, service
from service.cli.serve.follow import follow, read_run_rows
from service.errors import TplusError
from service.forecasts.backfill.span import BackfillRequest, check_span
from service.forecasts.backfill.summary import BackfilledEdition, BackfillSummary, read_backfilled, read_summary
from service.run_requests.store import NewRequest
from service.vocabulary import Job, RequestKind, RunState

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
            now = context.market.now(connection)
        check_span(context, request, now)  # an error is reported at once, by its own status
        body = {"job": Job.BACKFILL, "scope": calendar, **request.parameters}
        ids = follow(context, NewRequest(RequestKind.RUN, body), (Job.BACKFILL,))
        for row in read_run_rows(context, ids):
            if row.state == RunState.FAILED:
                raise TplusError(str(row.error))
        with context.database.reading() as connection:
            summary = read_summary(connection, ids[0])
            editions = read_backfilled(connection, ids[0])
    assert summary is not None  # the run is done
    if as_json:
        emit(_document(summary, editions))
        return
    for line in _lines(summary, editions):
        echo(line)


def _document(summary: BackfillSummary, editions: Sequence[BackfilledEdition]) -> dict[str, object]:
    return {
        "calendar": summary.calendar,
        "first": summary.first,
        "last": summary.last,
        "sessions": summary.sessions,
        "editions": [{"as_of": edition.as_of, "number": edition.number} for edition in editions],
        "published": summary.published,
        "already_stored": summary.already_stored,
        "without_bar": summary.without_bar,
        "refused": [
            {"symbol": symbol, "sessions": refused.sessions, "reason": refused.reason}
            for symbol, refused in sorted(summary.refused.items())
        ],
    }


def _lines(summary: BackfillSummary, editions: Sequence[BackfilledEdition]) -> list[str]:
    lines = [
        f"{summary.calendar}, as of {summary.first} to {summary.last}: {summary.published} forecasts of "
        f"symbols published in {len(editions)} editions of mode backfill",
        f"{summary.already_stored} already stored, {summary.without_bar} without a bar",
    ]
    refused = sorted(summary.refused.items())
    for _, symbol in refused[:REFUSALS_SHOWN]:
        lines.append(f"refused at {symbol.sessions} sessions; reason of the last: {symbol.reason}")
    if len(refused) > REFUSALS_SHOWN:
        lines.append(f"and {len(refused) - REFUSALS_SHOWN} more symbols were refused; see --json")
    return lines
