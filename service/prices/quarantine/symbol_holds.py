"""Holds of whole symbols: a history on another scale, a symbol that the vendor no longer has.

A hold stays `open` until an answer of the source settles it (`confirmed` or `cleared`) or a person clears it. Clearing
a hold of the basis allows the next pull to take the source's whole history as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Connection, bindparam, insert, select, update

from service.db.tables import quarantine, symbol_holds
from service.errors import NotFound
from service.vocabulary import QuarantineState

SESSIONS_SEEN = 3
"""Separate sessions after which a hold is reported, and after which a symbol that had bars counts as unknown."""


class SymbolHold(StrEnum):
    """Why a symbol is on hold.

    `basis`: its history is on another scale and nothing confirms it; the stored one is served. `gone`: the vendor
    says that there is no such symbol. `calendar`: its dates fit no calendar.
    """

    BASIS = "basis"
    GONE = "gone"
    CALENDAR = "calendar"


@dataclass(frozen=True, slots=True)
class Hold:
    """A row of the table of holds.

    Attributes:
        id: Its number.
        symbol: Yahoo-style name.
        kind: Why the symbol is on hold.
        reason: One sentence, the newest.
        state: `open`, `confirmed` or `cleared`.
        sessions_seen: ISO dates of the sessions whose pull raised it, ascending.
        first_seen_at: Market time.
        last_seen_at: Market time.
    """

    id: int
    symbol: str
    kind: str
    reason: str
    state: str
    sessions_seen: Sequence[str]
    first_seen_at: datetime
    last_seen_at: datetime


_ROWS = select(*(symbol_holds.c[name] for name in Hold.__slots__)).order_by(symbol_holds.c.symbol, symbol_holds.c.id)
# Built once: building a statement takes longer than sending it.
_OPEN = _ROWS.where(
    symbol_holds.c.symbol == bindparam("symbol"),
    symbol_holds.c.kind == bindparam("kind"),
    symbol_holds.c.state == bindparam("state"),
)


def list_holds(
    connection: Connection, symbols: Sequence[str] | None = None, state: QuarantineState | None = None
) -> tuple[Hold, ...]:
    """Return holds by symbol, oldest first; None = all."""
    query = _ROWS
    if symbols is not None:
        query = query.where(symbol_holds.c.symbol.in_(list(symbols)))
    if state is not None:
        query = query.where(symbol_holds.c.state == state)
    return tuple(Hold(*row) for row in connection.execute(query))


def raise_hold(
    connection: Connection, symbol: str, kind: SymbolHold, reason: str, session: date, at: datetime
) -> int:  # fmt: skip
    """Open a hold, or add a session to the open one.

    Args:
        connection: An open write transaction.
        symbol: Yahoo-style name.
        kind: Why the symbol is on hold.
        reason: One sentence; the newest is kept.
        session: Session of the pull.
        at: Market time of the pull.

    Returns:
        On how many separate sessions it was raised, this one included.
    """
    found = _open(connection, symbol, kind)
    sessions_seen = sorted({*(found[0].sessions_seen if found else ()), session.isoformat()})
    values = {"sessions_seen": sessions_seen, "reason": reason, "last_seen_at": at}
    if found:
        _set(connection, found[0].id, values)
    else:
        first = {"symbol": symbol, "kind": kind, "state": QuarantineState.OPEN, "allowed": False, "first_seen_at": at}
        connection.execute(insert(symbol_holds).values({**values, **first}))
    return len(sessions_seen)


def settle_holds(
    connection: Connection, symbol: str, kind: SymbolHold, state: QuarantineState, at: datetime
) -> int:  # fmt: skip
    """End the open holds of a kind; returns how many.

    Args:
        connection: An open write transaction.
        symbol: Yahoo-style name.
        kind: Why the symbol was on hold.
        state: `confirmed` (it is so) or `cleared` (the vendor corrected it).
        at: Market time.
    """
    found = _open(connection, symbol, kind)
    for hold in found:
        _set(connection, hold.id, {"state": state, "last_seen_at": at})
    return len(found)


def clear_holds(connection: Connection, symbol: str, at: datetime) -> tuple[Hold, ...]:
    """Clear the open holds of a symbol for a person; the next pull takes held prices or dates as they are.

    Args:
        connection: An open write transaction; the caller adds its audit line.
        symbol: Yahoo-style name.
        at: Market time.

    Returns:
        The holds as they were.

    Raises:
        NotFound: the symbol has no open hold.
    """
    found = list_holds(connection, [symbol], QuarantineState.OPEN)
    if not found:
        raise NotFound(f"{symbol} has no open hold; see `tplus quarantine list`")
    for hold in found:
        allowed = hold.kind in (SymbolHold.BASIS, SymbolHold.CALENDAR)
        _set(connection, hold.id, {"state": QuarantineState.CLEARED, "allowed": allowed, "last_seen_at": at})
    return found


def allowed_symbols(connection: Connection, symbols: Sequence[str]) -> frozenset[str]:
    """Return the symbols whose history a person allowed and no pull has taken yet."""
    return _allowed(connection, symbols, SymbolHold.BASIS)


def accepted_dates(connection: Connection, symbols: Sequence[str]) -> frozenset[str]:
    """Return the symbols whose dates a person accepted although they fit no calendar; this is not used up."""
    return _allowed(connection, symbols, SymbolHold.CALENDAR)


def _allowed(connection: Connection, symbols: Sequence[str], kind: SymbolHold) -> frozenset[str]:
    mine = (symbol_holds.c.allowed, symbol_holds.c.kind == kind, symbol_holds.c.symbol.in_(list(symbols)))
    return frozenset(connection.execute(select(symbol_holds.c.symbol).where(*mine)).scalars())


def use_allowance(connection: Connection, symbol: str, at: datetime) -> None:
    """Record that the allowed history was taken: it is not taken twice."""
    mine = (symbol_holds.c.symbol == symbol, symbol_holds.c.allowed, symbol_holds.c.kind == SymbolHold.BASIS)
    connection.execute(update(symbol_holds).where(*mine).values(allowed=False, last_seen_at=at))


def lasting(connection: Connection, symbols: Sequence[str], since: datetime) -> tuple[str, ...]:
    """Return the symbols that need a person: held on three sessions, or in quarantine since an instant.

    Args:
        connection: Any connection.
        symbols: Among these.
        since: Market time: rows and holds first seen at or before it, and still open, count.
    """
    rows = select(quarantine.c.symbol).where(
        quarantine.c.state == QuarantineState.OPEN,
        quarantine.c.symbol.in_(list(symbols)),
        quarantine.c.first_seen_at <= since,
    )
    found = set(connection.execute(rows).scalars())
    for hold in list_holds(connection, symbols, QuarantineState.OPEN):
        if hold.first_seen_at <= since or len(hold.sessions_seen) >= SESSIONS_SEEN:
            found.add(hold.symbol)
    return tuple(sorted(found))


def _open(connection: Connection, symbol: str, kind: SymbolHold) -> list[Hold]:
    rows = connection.execute(_OPEN, {"symbol": symbol, "kind": kind, "state": QuarantineState.OPEN})
    return [Hold(*row) for row in rows]


def _set(connection: Connection, hold_id: int, values: dict[str, object]) -> None:
    connection.execute(update(symbol_holds).where(symbol_holds.c.id == hold_id).values(values))
