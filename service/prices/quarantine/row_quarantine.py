"""The quarantine: rows that were refused, repaired, or are suspect, with their reasons.

States: `refused` (never stored), `repaired` (stored without its open, high and low), `open` (suspect: not among the
bars until something settles it), `confirmed` (a later pull gave the same, and the market traded at the new level),
`cleared` (the source corrected it, an action explains it, or a person cleared it), `rejected` (a person refused it: the
bar is not stored while the source repeats it).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from sqlalchemy import Connection, bindparam, insert, or_, select, update

from service.db.change_counters import raise_changes
from service.db.tables import bars, instruments, quarantine
from service.db.upsert import upsert
from service.errors import NotFound
from service.prices.checks.outliers import Suspect
from service.prices.checks.row_checks import FIELDS, Finding, Rows
from service.prices.repository import read_actions
from service.prices.sources.base import Action, ActionKind
from service.prices.store import Writer
from service.vocabulary import QuarantineState

CONFIRM_AFTER = timedelta(hours=12)
"""Market time that must pass before a repetition counts: a retry on the same evening proves nothing."""

SHARE, ACCEPTED = "share", "accepted"
"""Names in the row of a suspect dividend: its share of the close, and whether a person accepted it."""

SAME_JUMP = 1e-4
"""Largest difference of two log returns that count as equal."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row of the quarantine table.

    Attributes:
        id: Its number.
        symbol: Yahoo-style name.
        session: The row's session; None where it has none.
        row: The row as the source served it; of a suspect also `jump` (log return), `clears` and `confirmable`. Of an
            action its kind and value.
        reason: One sentence.
        state: See the module.
        first_seen_at: Market time.
        last_seen_at: Market time.
    """

    id: int
    symbol: str
    session: date | None
    row: Mapping[str, object]
    reason: str
    state: str
    first_seen_at: datetime
    last_seen_at: datetime

    @property
    def is_action(self) -> bool:
        """Whether it is a corporate action, not a bar."""
        return "kind" in self.row

    @property
    def clears(self) -> bool:
        """Whether a later pull with the same value may settle it, see `Suspect.is_confirmable`.

        A row that an earlier version recorded does not say so: it is fetched once more.
        """
        return bool(self.row.get("clears", False)) and bool(self.row.get("confirmable", True))

    def is_repeated_by(self, suspect: Suspect, at: datetime) -> bool:
        """Whether a suspect of a later pull has the same jump, late enough to count, and the market traded at it."""
        return self.is_same(suspect) and suspect.is_confirmable and at >= self.first_seen_at + CONFIRM_AFTER

    @property
    def is_held(self) -> bool:
        """Whether it is a suspect whose bar is not stored."""
        return self.state in (QuarantineState.OPEN, QuarantineState.REJECTED)

    def is_same(self, suspect: Suspect) -> bool:
        """Whether a suspect has the same jump."""
        jump = self.row.get("jump")
        return isinstance(jump, float) and abs(jump - suspect.jump) <= SAME_JUMP


_ROWS = select(*(quarantine.c[name] for name in Quarantined.__slots__)).order_by(
    quarantine.c.symbol, quarantine.c.session, quarantine.c.id
)
# Built once: building a statement takes longer than sending it.
_HELD = _ROWS.where(
    quarantine.c.symbol == bindparam("symbol"),
    or_(quarantine.c.state == QuarantineState.OPEN, quarantine.c.state == QuarantineState.REJECTED),
)


def list_quarantine(
    connection: Connection, symbols: Sequence[str] | None = None, *states: str
) -> tuple[Quarantined, ...]:
    """Return rows of the quarantine by symbol and session; None = all symbols, no states = all states."""
    query = _ROWS
    if symbols is not None:
        query = query.where(quarantine.c.symbol.in_(list(symbols)))
    if states:
        query = query.where(quarantine.c.state.in_(states))
    return tuple(Quarantined(*row) for row in connection.execute(query))


def list_held(connection: Connection, symbol: str) -> tuple[Quarantined, ...]:
    """Return the open and rejected rows of a symbol by session: suspect bars and actions that are not stored."""
    return tuple(Quarantined(*row) for row in connection.execute(_HELD, {"symbol": symbol}))


def record_findings(connection: Connection, symbol: str, findings: Iterable[Finding], at: datetime) -> int:
    """Add refused and repaired rows; one that is there for the same reason is not added again.

    Returns:
        How many were added.
    """
    found = list(findings)
    if not found:
        return 0
    query = select(quarantine.c.session, quarantine.c.reason).where(quarantine.c.symbol == symbol)
    known = {(day, reason) for day, reason in connection.execute(query)}
    rows = [
        _new(symbol, day, finding.row, finding.reason, finding.state, at)
        for finding in found
        if ((day := _date(finding.session)), finding.reason) not in known
    ]
    if rows:
        connection.execute(insert(quarantine), rows)
    return len(rows)


def settle_suspects(
    connection: Connection, symbol: str, rows: Rows, suspects: Sequence[Suspect], at: datetime
) -> frozenset[int]:
    """Update a symbol's open rows after a pull's jump check.

    Args:
        connection: An open write transaction.
        symbol: Yahoo-style name.
        rows: The rows that were checked.
        suspects: The suspects that the jump check found among them.
        at: Market time.

    Returns:
        Positions of the suspects whose bars are not stored; the others repeat an earlier pull and are confirmed.
    """
    known = {record.session: record for record in list_held(connection, symbol) if not record.is_action}
    staying: set[int] = set()
    for suspect in suspects:
        record = known.pop(_date(rows.sessions[suspect.row]), None)
        if record is not None and record.state == QuarantineState.REJECTED:
            # Another close than the one that a person rejected is a new question.
            record = record if record.is_same(suspect) else None
        elif record is not None and record.is_repeated_by(suspect, at):
            _set(connection, record.id, {"state": QuarantineState.CONFIRMED, "last_seen_at": at})
            continue
        staying.add(suspect.row)
        _note(connection, symbol, rows, suspect, record, at)
    answered = {_date(day) for day in rows.sessions} if known else set()
    for day, record in known.items():
        if day in answered:
            _set(connection, record.id, {"state": QuarantineState.CLEARED, "last_seen_at": at})
    return frozenset(staying)


def _note(
    connection: Connection, symbol: str, rows: Rows, suspect: Suspect, record: Quarantined | None, at: datetime
) -> None:
    evidence = {"jump": suspect.jump, "clears": suspect.clears, "confirmable": suspect.is_confirmable}
    document = {**rows.document(suspect.row), **evidence}
    if record is None:
        day = _date(rows.sessions[suspect.row])
        connection.execute(insert(quarantine), [_new(symbol, day, document, suspect.reason, QuarantineState.OPEN, at)])
    elif abs(float(str(record.row.get("jump"))) - suspect.jump) > SAME_JUMP:
        _set(
            connection, record.id, {"row": document, "reason": suspect.reason, "first_seen_at": at, "last_seen_at": at}
        )
    elif record.last_seen_at != at:
        _set(connection, record.id, {"row": document, "reason": suspect.reason, "last_seen_at": at})


def clear(connection: Connection, record_id: int, at: datetime, source: str) -> Quarantined:
    """Clear a row for a person: a suspect bar or dividend is stored, a refused or repaired row is only marked.

    Args:
        connection: An open write transaction; the caller adds its audit line.
        record_id: Number of the row.
        at: Market time.
        source: Name of the source, for the bar.

    Raises:
        NotFound: there is no such row.
    """
    record = _read(connection, record_id)
    if record.is_held and record.is_action:
        _accept_action(connection, record, at, source)
        return record
    if record.is_held and record.session is not None:
        values = {name: record.row[name] for name in FIELDS}
        key = {"symbol": record.symbol, "session": record.session}
        upsert(connection, bars, [{**key, **values, "source": source, "fetched_at": at, "revision": 1}], [])
        # The cleared bar may be the first or the newest one.
        mine = instruments.c.symbol == record.symbol
        day = record.session
        connection.execute(update(instruments).where(mine, instruments.c.last_session < day).values(last_session=day))
        connection.execute(update(instruments).where(mine, instruments.c.first_session > day).values(first_session=day))
        raise_changes(connection, [record.symbol])
    _set(connection, record.id, {"state": QuarantineState.CLEARED, "last_seen_at": at})
    return record


def reject(connection: Connection, record_id: int, at: datetime) -> Quarantined:
    """Refuse a suspect for a person: its bar is not stored, and outcomes that span it are void.

    Args:
        connection: An open write transaction; the caller adds its audit line.
        record_id: Number of the row.
        at: Market time.

    Returns:
        The row as it was.

    Raises:
        NotFound: there is no such row, or it is not an open suspect.
    """
    record = _read(connection, record_id)
    if record.state != QuarantineState.OPEN:
        raise NotFound(
            f"row {record_id} of the quarantine is {record.state}, not open; only an open one can be rejected"
        )
    _set(connection, record.id, {"state": QuarantineState.REJECTED, "last_seen_at": at})
    raise_changes(connection, [record.symbol])
    return record


def _read(connection: Connection, record_id: int) -> Quarantined:
    query = select(*(quarantine.c[name] for name in Quarantined.__slots__)).where(quarantine.c.id == record_id)
    found = connection.execute(query).one_or_none()
    if found is None:
        raise NotFound(f"the quarantine has no row {record_id}; see `tplus quarantine list`")
    return Quarantined(*found)


def _accept_action(connection: Connection, record: Quarantined, at: datetime, source: str) -> None:
    """Store a suspect dividend; the mark keeps the next pull from holding it again."""
    assert record.session is not None
    action = Action(record.session, ActionKind(str(record.row["kind"])), float(str(record.row["value"])))
    query = select(instruments.c.basis).where(instruments.c.symbol == record.symbol)
    basis: int = connection.execute(query).scalar_one()
    writer = Writer(connection, record.symbol, source, at)
    writer.put_actions(read_actions(connection, record.symbol), [action], basis)
    accepted = {"row": {**record.row, ACCEPTED: True}, "state": QuarantineState.CLEARED, "last_seen_at": at}
    _set(connection, record.id, accepted)
    raise_changes(connection, [record.symbol])


def _date(day: np.datetime64) -> date:
    value: date = day.astype("datetime64[D]").astype(object)
    return value


def _new(
    symbol: str, day: date, row: Mapping[str, object], reason: str, state: str, at: datetime
) -> dict[str, object]:  # fmt: skip
    return {
        "symbol": symbol, "session": day, "row": dict(row), "reason": reason, "state": state,
        "first_seen_at": at, "last_seen_at": at,
    }  # fmt: skip


def _set(connection: Connection, record_id: int, values: Mapping[str, object]) -> None:
    connection.execute(update(quarantine).where(quarantine.c.id == record_id).values(dict(values)))
