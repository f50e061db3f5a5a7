"""Reads instruments, and pages of the watchlist."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, exists, select

from service.api.common.rows import InstrumentRow, any_of, columns_of, read_row, read_rows
from service.db.tables import instruments
from service.errors import NotFound
from service.market.symbol_names import stored_symbols

# Built once: building a statement takes longer than sending it.
_INSTRUMENTS = select(*columns_of(instruments, InstrumentRow))
_NAMED = _INSTRUMENTS.where(instruments.c.symbol.in_(any_of("symbols")))
_WATCHLIST = (
    select(instruments.c.symbol).where(instruments.c.active).order_by(instruments.c.symbol).limit(bindparam("limit"))
)
_REST_OF_WATCHLIST = _WATCHLIST.where(instruments.c.symbol > bindparam("after"))


def read_instrument(connection: Connection, symbol: str) -> InstrumentRow:
    """Return one instrument, its symbol given in any letter case.

    Raises:
        NotFound: the symbol does not exist.
    """
    stored = stored_symbols(connection, [symbol]).get(symbol, symbol)
    row = read_row(connection, InstrumentRow, _NAMED, {"symbols": [stored]})
    if row is None:
        raise NotFound(unknown_symbol_message(symbol))
    return row


def stored_scope(connection: Connection, scope: str) -> str:
    """Return the stored spelling of a symbol, or a group as it is: a group's name comes first."""
    is_group = select(exists().where(instruments.c.group == scope))
    if connection.execute(is_group).scalar_one():
        return scope
    return stored_symbols(connection, [scope]).get(scope, scope)


def unknown_symbol_message(symbol: str) -> str:
    """Return the message for an unknown symbol."""
    return f"there is no symbol {symbol}; see /v1/symbols"


def read_instruments(connection: Connection, symbols: Sequence[str]) -> dict[str, InstrumentRow]:
    """Return instruments by symbol; unknown symbols are left out."""
    return {row.symbol: row for row in read_rows(connection, InstrumentRow, _NAMED, {"symbols": symbols})}


def read_watchlist(connection: Connection, after: str | None, limit: int) -> list[str]:
    """Return the symbols of the watchlist, sorted.

    Args:
        connection: Open for reading.
        after: Start after this symbol (exclusive); None = from the first.
        limit: Most rows.
    """
    if after is None:
        return list(connection.execute(_WATCHLIST, {"limit": limit}).scalars())
    return list(connection.execute(_REST_OF_WATCHLIST, {"limit": limit, "after": after}).scalars())


def read_instrument_page(
    connection: Connection, after: str | None, limit: int, group: str | None = None, active: bool | None = None
) -> list[InstrumentRow]:
    """Return instruments by symbol, optionally of one group, and on or off the watchlist."""
    query = _INSTRUMENTS.order_by(instruments.c.symbol).limit(limit)
    if after is not None:
        query = query.where(instruments.c.symbol > after)
    if group is not None:
        query = query.where(instruments.c.group == group)
    if active is not None:
        query = query.where(instruments.c.active.is_(active))
    return read_rows(connection, InstrumentRow, query)
