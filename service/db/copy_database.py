"""Copies a database into another one, of either kind, in one transaction, and compares hashes.

Every table is read as text, which is equal on SQLite and PostgreSQL; its hash is the sum of its rows' SHA-256 modulo
2^256, because the two databases sort differently.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Column, Connection, Float, Select, Table, Text, cast, func, select, type_coerce

from service.db.bulk.row_loader import write_rows
from service.db.migrate import current_revision, display_url, upgrade
from service.db.revision import HEAD, revision_problem
from service.db.session import Database
from service.db.tables import metadata
from service.db.wait_limits import lift_limits
from service.errors import DatabaseError

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


def copy_database(
    source: Database, target: Database, check: Callable[[Connection], Sequence[str]], before_commit: Callable[[], None]
) -> dict[str, Digest]:
    """Copy every row of a database into an empty one, migrated if needed; all or nothing.

    Args:
        source: Database to copy; one snapshot of it is read.
        target: An empty database.
        check: Faults of a copy beyond its rows, one sentence each: `service.forecasts.ledger.verify`.
        before_commit: Called after every row was compared; an exception rolls the copy back.

    Returns:
        Content of each table, by name.

    Raises:
        DatabaseError: the source is not at this version's migration, the target holds rows, or the copy differs.
    """
    with source.reading() as reading:
        found = current_revision(reading)
        if found != HEAD:
            raise DatabaseError(revision_problem(display_url(source), found))
    upgrade(target)
    with source.reading() as reading, target.transaction() as writing:
        for connection in (reading, writing):  # as long as the rows take
            lift_limits(connection)
        _require_empty(target, writing)
        copied = {table.name: _copy(reading, writing, table) for table in metadata.sorted_tables}
        faults = [*_differences(writing, copied), *check(writing)]
        if faults:
            raise DatabaseError(f"{'; '.join(faults)}: nothing was written into {display_url(target)}")
        before_commit()
    return copied


def digest(connection: Connection, table: Table) -> Digest:
    """Return rows and hash of a table, equal for equal contents on SQLite and PostgreSQL."""
    total = _Sum(table)
    for batch in _batches(connection, table):
        total.add(batch)
    return total.digest()


def _require_empty(target: Database, connection: Connection) -> None:
    for table in metadata.sorted_tables:
        if connection.execute(select(func.count()).select_from(table)).scalar_one():
            raise DatabaseError(
                f"{display_url(target)} is not empty: {table.name} has rows; use an empty database, nothing was copied"
            )


def _differences(connection: Connection, copied: Mapping[str, Digest]) -> list[str]:
    faults = []
    for table in metadata.sorted_tables:
        read, found = copied[table.name], digest(connection, table)
        if found != read:
            faults.append(f"{table.name} differs after the copy ({read.rows} rows were read, {found.rows} written)")
    return faults


def _copy(reading: Connection, writing: Connection, table: Table) -> Digest:
    names = tuple(table.c.keys())
    to_driver = [_binder(writing, column) for column in table.columns]
    total = _Sum(table)
    for batch in _batches(reading, table):
        total.add(batch)
        columns = [
            values if bind is None else [bind(value) for value in values]
            for bind, values in zip(to_driver, zip(*batch, strict=True), strict=True)
        ]
        write_rows(writing, table, names, list(zip(*columns, strict=True)))
    if total.rows:
        _set_sequence(writing, table)
    return total.digest()


def _batches(connection: Connection, table: Table) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Yield rows in batches; JSON as text, which distinguishes a JSON null from no value."""
    query: Select[Any] = select(*(_readable(connection, column) for column in table.columns))
    result = connection.execute(query.execution_options(yield_per=_BATCH))
    for rows in result.partitions():
        yield [tuple(row) for row in rows]


def _readable(connection: Connection, column: Column[Any]) -> Any:
    if not isinstance(column.type, JSON):
        return column
    plain = type_coerce(column, Text) if connection.dialect.name == "sqlite" else cast(column, Text)
    return plain.label(column.name)


def _binder(connection: Connection, column: Column[Any]) -> Callable[[Any], Any] | None:
    """Return the conversion from read values to driver values; None = no conversion."""
    if isinstance(column.type, JSON):
        return None
    return column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect)


def _set_sequence(connection: Connection, table: Table) -> None:
    """Set PostgreSQL's sequence: the next id comes after the highest copied."""
    if connection.dialect.name == "sqlite" or "id" not in table.c:
        return
    sequence = connection.execute(select(func.pg_get_serial_sequence(table.name, "id"))).scalar_one()
    if sequence is not None:
        highest = select(func.max(table.c.id)).scalar_subquery()
        connection.execute(select(func.setval(sequence, highest)))


class _Sum:
    """Running hash of a table."""

    def __init__(self, table: Table) -> None:
        self._plain = [_plain(column) for column in table.columns]
        self._sum = 0
        self.rows = 0

    def add(self, batch: Sequence[tuple[Any, ...]]) -> None:
        columns = [
            values if plain is None else [plain(value) for value in values]
            for plain, values in zip(self._plain, zip(*batch, strict=True), strict=True)
        ]
        for row in zip(*columns, strict=True):
            self._sum += int.from_bytes(hashlib.sha256(repr(row).encode()).digest())
        self.rows += len(batch)

    def digest(self) -> Digest:
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
