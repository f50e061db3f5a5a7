"""Checks the lock order of transactions on PostgreSQL: see "Lock order" in docs/how-it-works.md.

The order is: the migrations' lock, the row of the claimed run, the change counter, any other row. Rows that are locked
with SKIP LOCKED are not waited for, so their place does not matter; they count as held afterwards. Transactions that
tests open to prepare rows are not checked.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, event

from tests.support.paths import ROOT

MIGRATIONS, RUN, COUNTER, ROW = range(4)
NAMES = ("the migrations' lock", "a run's row", "the change counter", "another row")
_WRITE = re.compile(r"^\s*(INSERT INTO|UPDATE|DELETE FROM)\s+\"?(\w+)", re.IGNORECASE)
_FROM = re.compile(r"\bFROM\s+\"?(\w+)", re.IGNORECASE)
_KEY = "lock_order"
_SERVICE = str(ROOT / "service")
_BETWEEN = (str(ROOT / "service" / "db" / "session.py"), "contextlib.py", "sqlalchemy")


@dataclass
class LockOrder:
    """The transactions that broke the order.

    Attributes:
        transactions: Number of transactions that held two kinds of locks or more.
        faults: One sentence each.
    """

    transactions: int = 0
    faults: list[str] = field(default_factory=list)

    def execute(self, connection: Connection, statement: str) -> None:
        """Record the lock that a statement takes."""
        kind = kind_of(statement)
        held: set[int] | None = connection.info.get(_KEY)
        if held is None or kind is None or kind in held:
            return
        if held and max(held) > kind and "SKIP LOCKED" not in statement:
            line = " ".join(statement.split())[:120]
            self.faults.append(f"{NAMES[kind]} was locked after {NAMES[max(held)]}: {line}")
        held.add(kind)
        self.transactions += len(held) == 2


def kind_of(statement: str) -> int | None:
    """Return the kind of lock that a statement takes, None without one."""
    if "pg_advisory_xact_lock" in statement:
        return MIGRATIONS
    write = _WRITE.match(statement)
    if write is not None:
        verb, table = write[1].upper(), write[2]
        if table == "change_counters":
            return COUNTER
        return RUN if table == "runs" and verb == "UPDATE" else ROW
    if " FOR UPDATE" in statement or "FOR UPDATE" in statement.split("\n")[-1]:
        table = _FROM.search(statement)
        return {"runs": RUN, "change_counters": COUNTER}.get(table[1] if table else "", ROW)
    return None


def is_of_service() -> bool:
    """Return whether the service's own code opens this transaction."""
    frame = sys._getframe(2)
    while frame.f_back is not None and any(part in frame.f_code.co_filename for part in _BETWEEN):
        frame = frame.f_back
    return frame.f_code.co_filename.startswith(_SERVICE)


@contextmanager
def checked_lock_order() -> Iterator[LockOrder]:
    """Watch every transaction of this process on PostgreSQL during the block."""
    order = LockOrder()

    def execute(
        connection: Connection, _cursor: Any, statement: str, _values: Any, _context: Any, _many: bool
    ) -> None:  # fmt: skip
        if connection.dialect.name == "postgresql":
            order.execute(connection, statement)

    def begin(connection: Connection) -> None:
        connection.info[_KEY] = set() if is_of_service() else None

    listeners = (("before_cursor_execute", execute), ("begin", begin))
    for name, listener in listeners:
        event.listen(Engine, name, listener)
    try:
        yield order
    finally:
        for name, listener in listeners:
            event.remove(Engine, name, listener)
