"""`tplus quarantine`: rows and symbols that are not believed, and letting them through by hand."""

from typing import Annotated

import typer
from sqlalchemy import insert

from service.cli.common import JsonFlag, emit, say, service
from service.db.tables import audit
from service.prices.quarantine.row_quarantine import Quarantined, clear, list_quarantine
from service.prices.quarantine.symbol_holds import SymbolHold

app = typer.Typer(name="quarantine", help="Suspect prices: list, clear.", no_args_is_help=True)

_FIELDS = ("id", "symbol", "session", "state", "reason", "row", "first_seen_at", "last_seen_at")


@app.command("list")
def show(
    symbols: Annotated[list[str] | None, typer.Argument(help="Only these symbols.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Settled, refused and repaired rows too.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List what waits for a later pull or for a person; with --all everything that ever was."""
    with service(quiet=as_json) as context, context.database.reading() as connection:
        records = list_quarantine(connection, symbols or None, None if every else "open")
    if as_json:
        emit({"quarantine": [{name: getattr(record, name) for name in _FIELDS} for record in records]})
        return
    if not records:
        say("nothing is in doubt" if not every else "the quarantine has no row")
    for record in records:
        what = record.session or record.row.get("kind", "")
        say(f"{record.id:>5}  {record.symbol:<10} {what!s:<10} {record.state:<9} {record.reason}")


@app.command("clear")
def let_through(
    numbers: Annotated[list[int], typer.Argument(help="Numbers of rows, as `tplus quarantine list` shows them.")],
    as_json: JsonFlag = False,
) -> None:
    """Let rows through by hand: a bar in doubt is stored, a doubted history is taken whole by the next pull."""
    with service(quiet=as_json) as context, context.database.transaction() as connection:
        at = context.market.now(connection)
        records = [clear(connection, number, at, context.source.name) for number in numbers]
        recorded_at = context.machine.now(connection)
        connection.execute(insert(audit), [_line(record) | {"at": recorded_at} for record in records])
    if as_json:
        emit({"cleared": [{name: getattr(record, name) for name in _FIELDS} for record in records]})
        return
    for record in records:
        say(f"{record.symbol} {record.session or record.row.get('kind', '')}: {_effect(record)}")


def _line(record: Quarantined) -> dict[str, object]:
    """What the audit keeps of one row that was let through."""
    detail = {
        "id": record.id,
        "session": None if record.session is None else record.session.isoformat(),
        "state": record.state,
        "reason": record.reason,
        "row": dict(record.row),
    }
    return {"actor": "command line", "action": "quarantine.clear", "subject": record.symbol, "detail": detail}


def _effect(record: Quarantined) -> str:
    if record.state != "open":
        return f"was {record.state}; only ticked off"
    if record.session is not None:
        return "the bar is stored as it came"
    if record.row.get("kind") == SymbolHold.BASIS:
        return "the next pull takes the whole history as the source tells it, on a new basis"
    return "ticked off; the count of sessions begins anew"
