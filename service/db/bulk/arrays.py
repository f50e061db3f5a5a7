"""Fastest inserts: rows as arrays, one per column, or one value for all rows.

PostgreSQL gets a binary COPY made from the arrays' bytes; SQLite, and few rows, use `row_loader`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Column, Connection, Date, Float, Integer, String, Table

from service.db.bulk.pg_binary import (
    Field,
    day_field,
    encode_rows,
    float_field,
    instant_field,
    integer_field,
    text_field,
)
from service.db.bulk.pg_copy import MIN_COPY_ROWS, copy_binary, encoding_of
from service.db.bulk.row_loader import (
    DriverValue,
    check_columns,
    conflict_clause,
    driver_days,
    driver_instant,
    driver_instants,
    nullable,
    write_columns,
)
from service.db.types import Instant, to_utc

ArrayColumn = NDArray[Any] | str | int | datetime
"""`(n,)` float64 (NaN is null), int64 or datetime64 (days, or UTC instants); or one text, number or aware instant."""


def write_arrays(
    connection: Connection, table: Table, columns: Mapping[str, ArrayColumn], update: Sequence[str] = ()
) -> int:
    """Insert rows; where the primary key exists, set the named columns to the new values.

    Args:
        connection: An open write transaction.
        table: The table; its primary key decides what a conflict is.
        columns: Values by column; at least one is an array, and all arrays have one length.
        update: As in `row_loader.write_rows`.

    Returns:
        How many rows were written.

    Raises:
        ValueError: the table does not have a column, or values are of another kind; lengths differ; an
            instant is naive.
        sqlalchemy.exc.DBAPIError: the database refused.
    """
    check_columns(table, (*columns, *update))
    lengths = sorted({len(values) for values in columns.values() if isinstance(values, np.ndarray)})
    if len(lengths) != 1:
        raise ValueError(f"{table.name}: the arrays have lengths {lengths}; give at least one, all of one length")
    count = lengths[0]
    if connection.dialect.name == "sqlite" or count < MIN_COPY_ROWS:
        listed = {name: _listed(connection, table.c[name], values, count) for name, values in columns.items()}
        return write_columns(connection, table, listed, update)
    encoding = encoding_of(connection)
    stream = encode_rows(count, [_field(table.c[name], values, encoding) for name, values in columns.items()])
    copy_binary(connection, table, tuple(columns), stream, conflict_clause(connection, table, update))
    return count


def _listed(connection: Connection, column: Column[Any], values: ArrayColumn, count: int) -> Sequence[DriverValue]:
    if isinstance(values, np.ndarray):
        if isinstance(column.type, Instant):
            return driver_instants(connection, values)
        if isinstance(column.type, Date):
            return driver_days(values)
        return nullable(values) if isinstance(column.type, Float) else values.tolist()
    return [driver_instant(connection, values) if isinstance(values, datetime) else values] * count


def _field(column: Column[Any], values: ArrayColumn, encoding: str) -> Field:
    kind = column.type
    if isinstance(values, np.ndarray):
        if isinstance(kind, Float):
            return float_field(values)
        if isinstance(kind, Instant):
            return instant_field(values)
        if isinstance(kind, Date):
            return day_field(values)
    elif isinstance(values, datetime) and isinstance(kind, Instant):
        return instant_field(np.array(to_utc(values).replace(tzinfo=None), "datetime64[us]"))
    elif isinstance(values, str) and isinstance(kind, String):
        return text_field(values.encode(encoding))
    if isinstance(kind, Integer) and not isinstance(values, str | datetime):
        return integer_field(values, 8 if isinstance(kind, BigInteger) else 4)
    given = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
    raise ValueError(f"{column.table.name}.{column.name} takes {kind}, not {given}; use `row_loader.write_rows` for it")
