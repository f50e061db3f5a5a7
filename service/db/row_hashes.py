"""Hashes of whole tables, equal for equal contents on SQLite and PostgreSQL.

Every table is read as text, which is equal on both; its hash is the sum of its rows' SHA-256 modulo 2^256, because the
two databases sort differently.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Column, Connection, Float, Select, Table, Text, cast, select, type_coerce

_BATCH = 10_000
_MODULUS = 2**256


@dataclass(frozen=True, slots=True)
class Digest:
    """Content of a table.

    Attributes:
        rows: Number of rows.
        sha256: Sum of the rows' hashes, 64 hexadecimal digits.
    """

    rows: int
    sha256: str


def digest(connection: Connection, table: Table, columns: Sequence[str] = ()) -> Digest:
    """Return rows and hash of a table, equal for equal contents on SQLite and PostgreSQL.

    Args:
        connection: Any connection.
        table: The table.
        columns: Columns to read, in this order; empty = all, in the order of the table.
    """
    chosen = [table.c[name] for name in columns] if columns else list(table.columns)
    total = RowSum(chosen)
    for batch in read_batches(connection, chosen):
        total.add(batch)
    return total.digest()


def read_batches(connection: Connection, columns: Sequence[Column[Any]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Yield a table's rows in batches; JSON as text, which distinguishes a JSON null from no value."""
    query: Select[Any] = select(*(_readable(connection, column) for column in columns))
    result = connection.execute(query.execution_options(yield_per=_BATCH))
    for rows in result.partitions():
        yield [tuple(row) for row in rows]


def _readable(connection: Connection, column: Column[Any]) -> Any:
    if not isinstance(column.type, JSON):
        return column
    plain = type_coerce(column, Text) if connection.dialect.name == "sqlite" else cast(column, Text)
    return plain.label(column.name)


class RowSum:
    """Running hash of a table's rows.

    Args:
        columns: The columns of the rows, in order.
    """

    def __init__(self, columns: Sequence[Column[Any]]) -> None:
        self._plain = [_plain(column) for column in columns]
        self._sum = 0
        self.rows = 0

    def add(self, batch: Sequence[tuple[Any, ...]]) -> None:
        """Add rows of `read_batches`."""
        columns = [
            values if plain is None else [plain(value) for value in values]
            for plain, values in zip(self._plain, zip(*batch, strict=True), strict=True)
        ]
        for row in zip(*columns, strict=True):
            self._sum += int.from_bytes(hashlib.sha256(repr(row).encode()).digest())
        self.rows += len(batch)

    def digest(self) -> Digest:
        """Return what was added so far."""
        return Digest(self.rows, f"{self._sum % _MODULUS:064x}")


def _plain(column: Column[Any]) -> Callable[[Any], Any] | None:
    if isinstance(column.type, JSON):
        return _canonical
    return _unsigned if isinstance(column.type, Float) else None


def _unsigned(value: float | None) -> float | None:
    return None if value is None else value + 0.0  # SQLite does not store the sign of zero


def _canonical(text: str | None) -> str | None:
    return None if text is None else json.dumps(json.loads(text, parse_float=_number), sort_keys=True)


def _number(text: str) -> float | int:
    value = float(text)  # PostgreSQL returns 1e16 as a whole number
    return int(value) if value.is_integer() else value
