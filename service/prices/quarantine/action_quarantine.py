"""Suspect dividends in the quarantine: held until the source corrects them or a person accepts or rejects them.

Repetition does not settle them: a vendor repeats a wrong figure as it repeats a right one.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from service.db.tables import quarantine
from service.prices.checks.action_checks import SAME_SHARE, SuspectAction
from service.prices.quarantine.row_quarantine import ACCEPTED, SHARE, list_held
from service.vocabulary import QuarantineState

# Built once: building a statement takes longer than sending it.
_CLEARED = (
    select(quarantine.c.session, quarantine.c.row)
    .where(quarantine.c.symbol == bindparam("symbol"), quarantine.c.state == QuarantineState.CLEARED)
    .order_by(quarantine.c.session, quarantine.c.id)
)


def accepted_shares(connection: Connection, symbol: str) -> dict[date, tuple[float, ...]]:
    """Return by ex-date the dividends, as shares of the close, that a person accepted."""
    found: dict[date, tuple[float, ...]] = {}
    for session, row in connection.execute(_CLEARED, {"symbol": symbol}):
        share = row.get(SHARE)
        if session is not None and row.get(ACCEPTED) and isinstance(share, float):
            found[session] = (*found.get(session, ()), share)
    return found


def settle_actions(
    connection: Connection,
    symbol: str,
    suspects: Sequence[SuspectAction],
    is_answered: Callable[[date], bool],
    at: datetime,
) -> int:
    """Update a symbol's held dividends after a pull's check.

    Args:
        connection: An open write transaction.
        symbol: Yahoo-style name.
        suspects: The suspect dividends of the answer.
        is_answered: Whether the answer states the actions of an ex-date: what is not suspect there is corrected.
        at: Market time.

    Returns:
        How many were added.
    """
    known = {record.session: record for record in list_held(connection, symbol) if record.is_action}
    added = 0
    for suspect in suspects:
        action = suspect.action
        row = {"kind": action.kind.value, "value": action.value, SHARE: suspect.share}
        record = known.pop(action.ex_date, None)
        if record is None:
            seen = {"first_seen_at": at, "last_seen_at": at}
            values = {"symbol": symbol, "session": action.ex_date, "row": row, "reason": suspect.reason, **seen}
            connection.execute(insert(quarantine).values(**values, state=QuarantineState.OPEN))
            added += 1
            continue
        changed = {"row": row, "reason": suspect.reason, "last_seen_at": at}
        if abs(float(str(record.row.get(SHARE))) - suspect.share) > SAME_SHARE * suspect.share:
            # Another dividend than the one that was held, or that a person refused.
            changed |= {"first_seen_at": at, "state": QuarantineState.OPEN}
        _set(connection, record.id, changed)
    for day, record in known.items():
        if day is not None and is_answered(day):
            _set(connection, record.id, {"state": QuarantineState.CLEARED, "last_seen_at": at})
    return added


def _set(connection: Connection, record_id: int, values: dict[str, object]) -> None:
    connection.execute(update(quarantine).where(quarantine.c.id == record_id).values(values))
