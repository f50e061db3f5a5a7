"""`tplus symbols`: the watchlist."""

import typer

from service.audit import AuditEntry, record
from service.cli.common import JsonFlag, echo, emit, service
from service.db.change_counters import lock_changes, raise_changes
from service.market.instruments import add_symbols, check_watchlist_size, list_instruments, remove_symbols
from service.market.symbol_names import normalize_symbols

app = typer.Typer(name="symbols", help="Manage the watchlist: add, remove, list.", no_args_is_help=True)


@app.command("add")
def add(symbols: list[str] = typer.Argument(..., help="Yahoo-style names: AAPL 7203.T BTC-USD")) -> None:
    """Add symbols to the watchlist; the next pull fetches them."""
    given = [name for item in symbols for name in item.split(",") if name]
    with service() as context, context.database.transaction() as connection:
        lock_changes(connection)
        names = normalize_symbols(connection, given)
        check_watchlist_size(connection, names, context.settings.max_symbols)
        add_symbols(connection, names, context.market.now(connection), context.settings.group_of)
        raise_changes(connection, names)
        now = context.machine.now(connection)
        for name in names:
            record(connection, AuditEntry("symbols.add", name), now)
    echo(f"added to the watchlist: {', '.join(names)}; the next pull fetches them")


@app.command("remove")
def remove(symbols: list[str] = typer.Argument(..., help="Symbols to remove.")) -> None:
    """Remove symbols from the watchlist; their history and forecasts stay."""
    with service() as context, context.database.transaction() as connection:
        lock_changes(connection)
        names = normalize_symbols(connection, symbols)
        remove_symbols(connection, names)
        raise_changes(connection, names)
        now = context.machine.now(connection)
        for name in names:
            record(connection, AuditEntry("symbols.remove", name), now)
    echo(f"removed from the watchlist: {', '.join(names)}")


@app.command("list")
def show(as_json: JsonFlag = False) -> None:
    """Show the watchlist and the reference series."""
    with service(quiet=as_json) as context, context.database.reading() as connection:
        instruments = list_instruments(connection, pulled=True)
    if as_json:
        fields = ("symbol", "name", "group", "calendar", "currency", "active", "reference", "state", "state_reason")
        emit({"symbols": [{field: getattr(item, field) for field in fields} for item in instruments]})
        return
    if not instruments:
        echo("the watchlist is empty; add symbols with `tplus symbols add AAPL MSFT`")
    for item in instruments:
        kind = "watched" if item.active else "reference"
        span = f"{item.first_session} to {item.last_session}" if item.first_session else "no bars yet"
        reason = f" ({item.state_reason})" if item.state_reason else ""
        echo(f"{item.symbol:<10} {kind:<10} {item.group:<8} {item.calendar:<6} {span:<26} {item.state}{reason}")
