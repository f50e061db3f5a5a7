"""Doubts about a whole symbol, kept in the quarantine beside the doubted rows; their rows have no session.

`basis`: its history came on another scale and nothing confirms it; the old one is served. `gone`: the vendor says
there is no such symbol any more. A doubt stays `open` until an answer settles it or a person clears it; a person
who clears a doubted basis allows the next pull to take the vendor's history as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Connection, insert, select, update

from service.db.tables import quarantine

SESSIONS_SEEN = 3
"""Separate sessions after which a doubt is told to a person, and a symbol that had bars is held to be gone."""


class SymbolHold(StrEnum):
    """What is doubted of a symbol."""

    BASIS = "basis"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class _Known:
    id: int
    row: Mapping[str, object]

    @property
    def sessions_seen(self) -> list[str]:
        sessions_seen = self.row.get("nights")
        return [str(night) for night in sessions_seen] if isinstance(sessions_seen, list) else []


def raise_hold(
    connection: Connection, symbol: str, kind: SymbolHold, reason: str, night: tuple[date, datetime]
) -> int:  # fmt: skip
    """Open a doubt, or add a night to the one that is open.

    Args:
        connection: An open write transaction.
        symbol: Yahoo-style name.
        kind: What is doubted.
        reason: One sentence; the newest is kept.
        night: Session of the pull, and its market time.

    Returns:
        On how many separate sessions it was raised, this one included.
    """
    session, at = night
    found = _find(connection, symbol, kind, "open")
    sessions_seen = sorted({*(found[0].sessions_seen if found else ()), session.isoformat()})
    values = {"row": {"kind": kind.value, "nights": sessions_seen}, "reason": reason, "last_seen_at": at}
    if found:
        connection.execute(update(quarantine).where(quarantine.c.id == found[0].id).values(values))
    else:
        first = {"symbol": symbol, "session": None, "state": "open", "first_seen_at": at}
        connection.execute(insert(quarantine).values({**values, **first}))
    return len(sessions_seen)


def settle_holds(connection: Connection, symbol: str, kind: SymbolHold, state: str, at: datetime) -> int:
    """Bring the open doubts of a kind to an end; returns how many.

    Args:
        connection: An open write transaction.
        symbol: Yahoo-style name.
        kind: What was doubted.
        state: `confirmed` (the doubted thing is so) or `cleared` (the vendor took it back).
        at: Market time.
    """
    found = _find(connection, symbol, kind, "open")
    for known in found:
        values = {"state": state, "last_seen_at": at}
        connection.execute(update(quarantine).where(quarantine.c.id == known.id).values(values))
    return len(found)


def allow(connection: Connection, record_id: int, row: Mapping[str, object]) -> None:
    """Let the next pull take the vendor's history as it is: what clearing a doubted basis by hand means."""
    values = {"row": {**row, "allowed": True}}
    connection.execute(update(quarantine).where(quarantine.c.id == record_id).values(values))


def allowed_symbols(connection: Connection, symbols: Sequence[str]) -> frozenset[str]:
    """Symbols whose history a person allowed and no pull has taken yet."""
    query = select(quarantine.c.symbol, quarantine.c.row).where(
        quarantine.c.session.is_(None), quarantine.c.state == "cleared", quarantine.c.symbol.in_(list(symbols))
    )
    return frozenset(symbol for symbol, row in connection.execute(query) if row.get("allowed"))


def use_allowance(connection: Connection, symbol: str, at: datetime) -> None:
    """Note that the allowed history was taken: it is not taken twice."""
    for known in _find(connection, symbol, SymbolHold.BASIS, "cleared"):
        if known.row.get("allowed"):
            values = {"row": {**known.row, "allowed": False}, "last_seen_at": at}
            connection.execute(update(quarantine).where(quarantine.c.id == known.id).values(values))


def lasting(connection: Connection, symbols: Sequence[str], since: datetime) -> tuple[str, ...]:
    """Symbols to tell a person of: doubted on three sessions, or by a row that nothing settled since an instant.

    Args:
        connection: Any connection.
        symbols: Among these.
        since: Market time: rows first seen at or before it, and still open, count.
    """
    columns = (quarantine.c.symbol, quarantine.c.row, quarantine.c.first_seen_at)
    query = select(*columns).where(quarantine.c.state == "open", quarantine.c.symbol.in_(list(symbols)))
    found = set()
    for symbol, row, first_seen_at in connection.execute(query):
        if first_seen_at <= since or len(_Known(0, row).sessions_seen) >= SESSIONS_SEEN:
            found.add(symbol)
    return tuple(sorted(found))


def _find(connection: Connection, symbol: str, kind: SymbolHold, state: str) -> list[_Known]:
    query = select(quarantine.c.id, quarantine.c.row).where(
        quarantine.c.symbol == symbol, quarantine.c.session.is_(None), quarantine.c.state == state
    )
    rows = connection.execute(query.order_by(quarantine.c.id))
    return [_Known(number, row) for number, row in rows if row.get("kind") == kind.value]
