"""Copies a database into another one, of either kind, in one transaction, and compares hashes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import JSON, Column, Connection, Table, func, select

from service.db.bulk.row_loader import write_rows
from service.db.migrate import current_revision, upgrade
from service.db.revision import HEAD, revision_problem
from service.db.row_hashes import Digest, RowSum, digest, read_batches
from service.db.session import Database, display_url
from service.db.tables import metadata
from service.db.wait_limits import lift_limits
from service.errors import DatabaseError


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
    total = RowSum(list(table.columns))
    for batch in read_batches(reading, list(table.columns)):
        total.add(batch)
        columns = [
            values if bind is None else [bind(value) for value in values]
            for bind, values in zip(to_driver, zip(*batch, strict=True), strict=True)
        ]
        write_rows(writing, table, names, list(zip(*columns, strict=True)))
    if total.rows:
        _set_sequence(writing, table)
    return total.digest()


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
