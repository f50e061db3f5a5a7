"""The spelling of symbols: people and clients write them in any letter case."""

from collections.abc import Sequence

from sqlalchemy import BindParameter, Connection, bindparam, func, select

from service.db.tables import instruments

# Built once: building a statement takes longer than sending it.
_NAMES: BindParameter[str] = bindparam("names", expanding=True)
_EXACT = select(instruments.c.symbol).where(instruments.c.symbol.in_(_NAMES))
_FOLDED = select(instruments.c.symbol).where(func.lower(instruments.c.symbol).in_(_NAMES))


def stored_symbols(connection: Connection, symbols: Sequence[str]) -> dict[str, str]:
    """Return the stored spelling of symbols that were given in any letter case.

    Args:
        connection: Open for reading.
        symbols: As requested; unknown ones are left out of the result.

    Returns:
        Requested -> stored. If several are stored that differ in letter case alone, the same spelling comes first, then
        the first by code point.
    """
    exact = connection.execute(_EXACT, {"names": symbols}).scalars()
    found = {symbol: symbol for symbol in exact}
    left = [symbol for symbol in symbols if symbol not in found]
    if not left:
        return found
    folded = {symbol.lower() for symbol in left}
    by_folded: dict[str, str] = {}
    for symbol in sorted(connection.execute(_FOLDED, {"names": sorted(folded)}).scalars()):
        by_folded.setdefault(symbol.lower(), symbol)
    return found | {symbol: by_folded[symbol.lower()] for symbol in left if symbol.lower() in by_folded}


def normalize_symbols(connection: Connection, symbols: Sequence[str]) -> list[str]:
    """Return symbols as they are stored, new ones in capitals, as Yahoo and price files name them.

    Args:
        connection: Any connection.
        symbols: Yahoo-style names in any letter case.

    Returns:
        Each once, in the given order.
    """
    stored = stored_symbols(connection, symbols)
    # Capitals of other letters may be different letters: such a name stays what it is, and is refused.
    new = {symbol: symbol.upper() for symbol in symbols if symbol.isascii()}
    return list(dict.fromkeys(stored.get(symbol, new.get(symbol, symbol)) for symbol in symbols))
