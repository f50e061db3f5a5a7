"""`tplus audit`: shows the writes of people and clients."""

import json
from typing import Annotated

import typer

from service.audit import newest
from service.cli.common import JsonFlag, echo, emit, service

MOST = 10_000

app = typer.Typer()


@app.command("audit")
def show(
    limit: Annotated[int, typer.Option("--limit", min=1, max=MOST, help="Entries to show, the newest ones.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """Show the newest entries of the audit: every write and its actor."""
    with service(quiet=True) as context, context.database.reading() as connection:
        entries = newest(connection, limit)
    if as_json:
        emit({"audit": [dict(entry) for entry in entries]})
        return
    if not entries:
        echo("the audit is empty")
    for entry in entries:
        detail = json.dumps(entry["detail"], sort_keys=True, default=str)
        echo(
            f"{entry['id']:>6}  {entry['at']:%Y-%m-%d %H:%M:%S}Z  {entry['actor']:<20} {entry['action']:<18} "
            f"{entry['subject']!r:<12} {detail}"
        )
