"""Instruments by symbol, and the pages of the watchlist."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from service.db.tables import instruments
from service.errors import NotFound


def instrument(connection: Connection, symbol: str) -> Row[Any]:
    """One instrument.

    Raises:
        NotFound: the symbol does not exist.
    """
    row = connection.execute(select(instruments).where(instruments.c.symbol == symbol)).one_or_none()
    if row is None:
        raise NotFound(unknown_symbol(symbol))
    return row


def unknown_symbol(symbol: str) -> str:
    """Return the message for an unknown symbol."""
    return f"there is no symbol {symbol}; see /v1/symbols"


def named(connection: Connection, symbols: Sequence[str]) -> dict[str, Row[Any]]:
    """Instruments by symbol; unknown symbols are left out."""
    rows = connection.execute(select(instruments).where(instruments.c.symbol.in_(symbols)))
    return {row.symbol: row for row in rows}


def watchlist(connection: Connection, after: str | None, limit: int) -> list[Row[Any]]:
    """Active instruments, by symbol.

    Args:
        connection: Open for reading.
        after: Begin after this symbol (exclusive); None = from the first.
        limit: Most rows.
    """
    query = select(instruments).where(instruments.c.active).order_by(instruments.c.symbol).limit(limit)
    if after is not None:
        query = query.where(instruments.c.symbol > after)
    return list(connection.execute(query))


def page(
    connection: Connection, after: str | None, limit: int, group: str | None = None, active: bool | None = None
) -> list[Row[Any]]:
    """Instruments, by symbol, optionally of one group, and on or off the watchlist."""
    query = select(instruments).order_by(instruments.c.symbol).limit(limit)
    if after is not None:
        query = query.where(instruments.c.symbol > after)
    if group is not None:
        query = query.where(instruments.c.group == group)
    if active is not None:
        query = query.where(instruments.c.active.is_(active))
    return list(connection.execute(query))
