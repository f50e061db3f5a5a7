"""Suspect dividends in the quarantine: held until the source corrects them or a person accepts or rejects them.

Repetition does not settle them: a vendor repeats a wrong figure as it repeats a right one.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime

from sqlalchemy import Connection, insert, update

from service.db.tables import quarantine
from service.prices.checks.action_checks import SAME_SHARE, SuspectAction
from service.prices.quarantine.row_quarantine import ACCEPTED, SHARE, list_quarantine
from service.vocabulary import QuarantineState


def accepted_shares(connection: Connection, symbol: str) -> dict[date, tuple[float, ...]]:
    """Return by ex-date the dividends, as shares of the close, that a person accepted."""
    found: dict[date, tuple[float, ...]] = {}
    for record in list_quarantine(connection, [symbol], QuarantineState.CLEARED):
        share = record.row.get(SHARE)
        if record.session is not None and record.row.get(ACCEPTED) and isinstance(share, float):
            found[record.session] = (*found.get(record.session, ()), share)
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
    held = list_quarantine(connection, [symbol], QuarantineState.OPEN, QuarantineState.REJECTED)
    known = {record.session: record for record in held if record.is_action}
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
