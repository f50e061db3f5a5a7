"""Writes bars and actions of one symbol, and keeps the old value of everything that is replaced."""

from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime
from math import prod

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, select, update

from service.db.bulk.arrays import ArrayColumn, write_arrays
from service.db.bulk.row_loader import (
    DriverValue,
    days_array,
    driver_instant,
    floats_array,
    instants_array,
    read_columns,
    write_rows,
)
from service.db.tables import bar_revisions, bars, corporate_action_revisions, corporate_actions
from service.market.instruments import update_instrument
from service.prices.checks.outliers import USUAL_SESSIONS
from service.prices.checks.reconcile import Comparison, new_splits, undone_splits
from service.prices.checks.row_checks import FIELDS, BoolArray, DateArray, Rows
from service.prices.sources.base import Action, ActionKind

_ActionKey = tuple[date, ActionKind]

_ACTION = ("symbol", "ex_date", "kind", "value", "fetched_at", "revision")
_SAME_VALUE = 1e-6
"""Relative difference up to which two values of an action are the same."""

_SAME_REBASED = 1e-3
"""The same for dividends after a split: vendors round them on the new basis."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Stored bars of one symbol.

    Attributes:
        rows: The bars, on the stored basis.
        revision: `(n,)` int64.
        fetched_at: `(n,)` datetime64[s], UTC market time.
    """

    rows: Rows
    revision: NDArray[np.int64]
    fetched_at: DateArray


# Built once: building a statement takes longer than sending it.
_OWN = bars.c.symbol == bindparam("symbol")
_BARS = (
    select(*(bars.c[name] for name in ("session", *FIELDS, "revision", "fetched_at")))
    .where(_OWN)
    .order_by(bars.c.session)
)
_BARS_SINCE = _BARS.where(bars.c.session >= bindparam("start"))
_OLDER = (
    select(bars.c.session)
    .where(_OWN, bars.c.session < bindparam("start"))
    .order_by(bars.c.session.desc())
    .limit(USUAL_SESSIONS)
)
_OLD = corporate_action_revisions.c
_OLD_REVISIONS = (
    select(_OLD.ex_date, _OLD.kind, func.max(_OLD.revision))
    .where(_OLD.symbol == bindparam("symbol"))
    .group_by(_OLD.ex_date, _OLD.kind)
)

NOTHING = Stored(
    Rows(np.empty(0, "datetime64[D]"), np.empty((0, len(FIELDS)))), np.empty(0, np.int64), np.empty(0, "datetime64[s]")
)
"""What is stored of a new symbol."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes the rows of one symbol.

    Attributes:
        connection: An open write transaction.
        symbol: Yahoo-style name.
        source: The source's name.
        at: Market time.
    """

    connection: Connection
    symbol: str
    source: str
    at: datetime

    def put(self, rows: Rows, revision: NDArray[np.int64]) -> int:
        """Write bars; a stored one of the same session is overwritten."""
        update = (*FIELDS, "source", "fetched_at", "revision") if (revision > 1).any() else ()
        columns: dict[str, ArrayColumn] = {
            "symbol": self.symbol,
            "session": rows.sessions,
            **_figures(rows),
            "source": self.source,
            "fetched_at": self.at,
            "revision": revision,
        }
        return write_arrays(self.connection, bars, columns, update)

    def keep_old(self, old: Stored, chosen: BoolArray, basis: int) -> int:
        """Copy bars that are about to be replaced into the revisions; `chosen` is a `(n,)` mask."""
        rows = old.rows.take(chosen)
        columns: dict[str, ArrayColumn] = {
            "symbol": self.symbol,
            "session": rows.sessions,
            **_figures(rows),
            "fetched_at": old.fetched_at[chosen],
            "replaced_at": self.at,
            "basis": basis,
            "revision": old.revision[chosen],
        }
        return write_arrays(self.connection, bar_revisions, columns)

    def revise(self, old: Stored, answered: Rows, comparison: Comparison, basis: int) -> int:
        """Overwrite the bars that the source corrected, keeping the old ones; returns how many."""
        mine, theirs = comparison.stored[comparison.changed], comparison.answered[comparison.changed]
        if len(mine) == 0:
            return 0
        # A figure that is missing from the answer keeps its stored value.
        values = np.where(np.isnan(answered.values[theirs]), old.rows.values[mine], answered.values[theirs])
        chosen = np.zeros(len(old.rows), bool)
        chosen[mine] = True
        self.keep_old(old, chosen, basis)
        return self.put(Rows(answered.sessions[theirs], values), old.revision[mine] + 1)

    def replace(self, old: Stored, accepted: Rows, comparison: Comparison, basis: int) -> tuple[int, int]:
        """Replace the stored history by a re-based one.

        Old bars are kept as revisions where they differ by more than the split, and where the new history has no bar.

        Returns:
            How many bars were written, and how many old ones were kept.
        """
        gone = np.ones(len(old.rows), bool)
        gone[comparison.stored] = comparison.changed
        kept = self.keep_old(old, gone, basis)
        self.connection.execute(delete(bars).where(bars.c.symbol == self.symbol))
        revision = np.ones(len(accepted), np.int64)
        _, here, there = np.intersect1d(old.rows.sessions, accepted.sessions, assume_unique=True, return_indices=True)
        revision[there] = old.revision[here] + gone[here]
        return self.put(accepted, revision), kept

    def put_actions(self, known: Sequence[Action], answered: Sequence[Action], basis: int) -> int:
        """Write actions that are new or whose value changed; returns how many.

        Args:
            known: Every stored action of the symbol.
            answered: The answer's actions; a stored one that is not among them stays.
            basis: The instrument's basis, kept with a replaced value.
        """
        values = {(action.ex_date, action.kind): action.value for action in known}
        changed = [
            action for action in answered if not is_same_action(values.get((action.ex_date, action.kind)), action.value)
        ]
        return self._write_actions(changed, known, basis)

    def withdraw_actions(self, withdrawn: Sequence[Action], basis: int) -> int:
        """Remove stored actions that the source no longer has, keeping them as revisions; returns how many."""
        keys = {(action.ex_date, action.kind) for action in withdrawn}
        self._keep_old_actions(keys, basis)
        for key in keys:
            self.connection.execute(delete(corporate_actions).where(*self._is_action(key)))
        return len(keys)

    def replace_actions(
        self, known: Sequence[Action], answered: Sequence[Action], basis: int, kept: Collection[Action] = ()
    ) -> int:
        """Replace the stored actions by those of a re-based history; returns how many were written.

        A dividend that differs by the new splits alone is the same dividend on another basis: it keeps its revision and
        the instant at which it was fetched.

        Args:
            known: Every stored action of the symbol.
            answered: All actions of the new history; a stored one that is not among them is gone.
            basis: The basis that ends, kept with a replaced value.
            kept: Stored actions that stay although the answer lacks them, moved to the new basis.
        """
        gone = [action for action in known if action not in kept]
        splits = (*new_splits(known, answered), *undone_splits(gone, answered))
        values = {(action.ex_date, action.kind): _rebased(action, splits) for action in known}
        staying = [Action(*key, values[key]) for key in ((action.ex_date, action.kind) for action in kept)]
        revised: list[Action] = []
        same: list[Action] = []
        for action in (*answered, *staying):
            old = values.pop((action.ex_date, action.kind), None)
            (same if is_same_action(old, action.value, _SAME_REBASED) else revised).append(action)
        self.withdraw_actions([Action(*key, value) for key, value in values.items()], basis)
        for action in same:
            own = self._is_action((action.ex_date, action.kind))
            self.connection.execute(update(corporate_actions).where(*own).values(value=action.value))
        return len(same) + self._write_actions(revised, known, basis)

    def _write_actions(self, changed: Sequence[Action], known: Sequence[Action], basis: int) -> int:
        if not changed:
            return 0
        keys = {(action.ex_date, action.kind) for action in changed}
        self._keep_old_actions(keys & {(action.ex_date, action.kind) for action in known}, basis)
        before = self._old_revisions()
        at = driver_instant(self.connection, self.at)
        rows: list[tuple[DriverValue, ...]] = [
            (
                self.symbol, action.ex_date.isoformat(), action.kind.value, action.value, at,
                before.get((action.ex_date, action.kind.value), 0) + 1,
            )
            for action in changed
        ]  # fmt: skip
        return write_rows(self.connection, corporate_actions, _ACTION, rows, ("value", "fetched_at", "revision"))

    def _keep_old_actions(self, keys: Set[_ActionKey], basis: int) -> None:
        """Copy stored actions that are about to be replaced or deleted into the revisions."""
        if not keys:
            return
        names = ("ex_date", "kind", "value", "fetched_at", "revision")
        query = select(*(corporate_actions.c[name] for name in names)).where(corporate_actions.c.symbol == self.symbol)
        rows = [
            {**row, "symbol": self.symbol, "replaced_at": self.at, "basis": basis}
            for row in self.connection.execute(query).mappings()
            if (row["ex_date"], ActionKind(row["kind"])) in keys
        ]
        if rows:
            self.connection.execute(insert(corporate_action_revisions), rows)

    def _old_revisions(self) -> dict[tuple[date, str], int]:
        """Newest replaced revision by ex-date and kind."""
        rows = self.connection.execute(_OLD_REVISIONS, {"symbol": self.symbol})
        return {(day, kind): newest for day, kind, newest in rows}

    def _is_action(self, key: _ActionKey) -> tuple[ColumnElement[bool], ...]:
        table = corporate_actions.c
        return table.symbol == self.symbol, table.ex_date == key[0], table.kind == key[1]

    def move_span(self, first: date | None, last: date | None, sessions: DateArray, basis: int | None = None) -> None:
        """Update the instrument's first and last session (and its basis) after a write."""
        values: dict[str, object] = {} if basis is None else {"basis": basis}
        if len(sessions):
            oldest, newest = sessions[0].astype(object), sessions[-1].astype(object)
            if first is None or oldest < first:
                values["first_session"] = oldest
            if last is None or newest > last:
                values["last_session"] = newest
        if values:
            update_instrument(self.connection, self.symbol, values)


def load_stored(connection: Connection, symbol: str, start: date | None = None) -> Stored:
    """Return the stored bars from `start` on, and those before it that the check of the first new bar needs."""
    if start is None:
        columns = read_columns(connection, _BARS, {"symbol": symbol})
    else:
        older = connection.execute(_OLDER, {"symbol": symbol, "start": start}).scalars().all()
        columns = read_columns(connection, _BARS_SINCE, {"symbol": symbol, "start": older[-1] if older else start})
    values = np.column_stack([floats_array(column) for column in columns[1:6]])
    rows = Rows(days_array(columns[0]), values)
    return Stored(rows, np.array(columns[6], np.int64), instants_array(columns[7]))


def _figures(rows: Rows) -> dict[str, NDArray[np.float64]]:
    return dict(zip(FIELDS, rows.values.T, strict=True))


def is_same_action(old: float | None, new: float, tolerance: float = _SAME_VALUE) -> bool:
    """Return whether two values of an action are the same; None = there is no old one."""
    return old is not None and abs(new - old) <= tolerance * abs(old)


def _rebased(action: Action, splits: Sequence[Action]) -> float:
    """An action's value on the basis after further splits: cash per share shrinks as shares multiply."""
    if action.kind is not ActionKind.DIVIDEND:
        return action.value
    return action.value / prod(split.value for split in splits if split.ex_date > action.ex_date)
