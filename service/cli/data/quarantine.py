"""`tplus quarantine`: lists suspect rows and symbols on hold, and clears them."""

from collections.abc import Iterable
from typing import Annotated

import typer

from service import audit
from service.audit import AuditEntry
from service.cli.common import JsonFlag, echo, emit, service
from service.db.change_counters import lock_changes
from service.errors import SettingsError
from service.prices.quarantine.row_quarantine import Quarantined, clear, list_quarantine, reject
from service.prices.quarantine.symbol_holds import Hold, SymbolHold, clear_holds, list_holds
from service.vocabulary import QuarantineState

app = typer.Typer(name="quarantine", help="Manage suspect prices: list, clear, reject.", no_args_is_help=True)

_FIELDS = ("id", "symbol", "session", "state", "reason", "row", "first_seen_at", "last_seen_at")
_HOLD_FIELDS = ("id", "symbol", "kind", "state", "reason", "sessions_seen", "first_seen_at", "last_seen_at")


@app.command("list")
def list_records(
    symbols: Annotated[list[str] | None, typer.Argument(help="Only these symbols.")] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Include settled, refused and repaired rows.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List suspect rows and symbols on hold."""
    state = None if show_all else QuarantineState.OPEN
    states = () if show_all else (QuarantineState.OPEN,)
    with service(quiet=as_json) as context, context.database.reading() as connection:
        records = list_quarantine(connection, symbols or None, *states)
        holds = list_holds(connection, symbols or None, state)
    if as_json:
        emit({"quarantine": _rows(records), "holds": _holds(holds)})
        return
    if not records and not holds:
        echo("the quarantine is empty" if show_all else "no suspect rows, no symbols on hold")
    for hold in holds:
        echo(f"{'hold':>5}  {hold.symbol:<10} {hold.kind:<10} {hold.state:<9} {hold.reason}")
    for record in records:
        echo(f"{record.id:>5}  {record.symbol:<10} {record.session or ''!s:<10} {record.state:<9} {record.reason}")


@app.command("clear")
def clear_records(
    numbers: Annotated[list[int] | None, typer.Argument(help="Numbers of rows, see `tplus quarantine list`.")] = None,
    symbols: Annotated[list[str] | None, typer.Option("--hold", metavar="SYMBOL", help="Symbols on hold.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Accept suspect rows, or end the hold of a symbol.

    After a hold the next pull takes the symbol's whole history as the source has it.
    """
    if not numbers and not symbols:
        raise SettingsError("nothing to clear; give the number of a row, or --hold SYMBOL")
    with service(quiet=as_json) as context, context.database.transaction() as connection:
        lock_changes(connection)
        at = context.market.now(connection)
        records = [clear(connection, number, at, context.source.name) for number in numbers or ()]
        holds = [hold for symbol in symbols or () for hold in clear_holds(connection, symbol, at)]
        recorded_at = context.machine.now(connection)
        for entry in (*map(_row_entry, records), *map(_hold_entry, holds)):
            audit.record(connection, entry, recorded_at)
    if as_json:
        emit({"cleared": _rows(records), "holds": _holds(holds)})
        return
    for record in records:
        echo(f"{record.symbol} {record.session or ''}: {_row_effect(record)}")
    for hold in holds:
        echo(f"{hold.symbol} {hold.kind}: {_hold_effect(hold)}")


@app.command("reject")
def reject_records(
    numbers: Annotated[list[int], typer.Argument(help="Numbers of rows, see `tplus quarantine list`.")],
    as_json: JsonFlag = False,
) -> None:
    """Refuse suspect rows: bars stay out, forecasts that span them become void; dividends are not applied."""
    with service(quiet=as_json) as context, context.database.transaction() as connection:
        lock_changes(connection)
        at = context.market.now(connection)
        records = [reject(connection, number, at) for number in numbers]
        recorded_at = context.machine.now(connection)
        for rejected in records:
            audit.record(connection, _row_entry(rejected, "quarantine.reject"), recorded_at)
    if as_json:
        emit({"rejected": _rows(records)})
        return
    for record in records:
        echo(f"{record.symbol} {record.session or ''}: {_rejection_effect(record)}")


def _rejection_effect(record: Quarantined) -> str:
    if record.is_action:
        return f"the {record.row['kind']} of {record.row['value']} stays out until the source corrects it"
    return "the bar stays out; forecasts that span it become void"


def _rows(records: Iterable[Quarantined]) -> list[dict[str, object]]:
    return [{name: getattr(record, name) for name in _FIELDS} for record in records]


def _holds(holds: Iterable[Hold]) -> list[dict[str, object]]:
    return [{name: getattr(hold, name) for name in _HOLD_FIELDS} for hold in holds]


def _row_entry(row: Quarantined, action: str = "quarantine.clear") -> AuditEntry:
    """Return the audit entry of a cleared or rejected row."""
    detail = {
        "id": row.id,
        "session": None if row.session is None else row.session.isoformat(),
        "state": row.state,
        "reason": row.reason,
        "row": dict(row.row),
    }
    return AuditEntry(action, row.symbol, detail)


def _hold_entry(hold: Hold) -> AuditEntry:
    """Return the audit entry of a cleared hold."""
    detail = {"id": hold.id, "kind": hold.kind, "reason": hold.reason, "sessions_seen": list(hold.sessions_seen)}
    return AuditEntry("hold.clear", hold.symbol, detail)


def _row_effect(record: Quarantined) -> str:
    if not record.is_held:
        return f"was {record.state}; marked as cleared"
    if record.is_action:
        return f"the {record.row['kind']} of {record.row['value']} is applied as received"
    return "the bar is stored as received"


def _hold_effect(hold: Hold) -> str:
    if hold.kind == SymbolHold.BASIS:
        return "the next pull takes the whole history as the source has it, on a new basis"
    if hold.kind == SymbolHold.CALENDAR:
        return "the next pull takes the dates as the source has them; those on no session are left out"
    return "cleared; the count of sessions starts again"
