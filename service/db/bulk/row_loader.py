"""Fast inserts of many rows: plain tuples through the driver, without the statement compiler.

Values are passed as the driver stores them; `driver_days` and `driver_instants` make them from arrays. SQLite gets
hundreds of rows per statement; PostgreSQL a COPY, or one statement for a few rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Select, Table

from service.db.bulk.pg_copy import MIN_COPY_ROWS, copy_rows
from service.db.types import to_utc

_PARAMETERS = 5_000
"""Values bound in one statement of SQLite, which takes up to 32,766."""

DriverValue = str | float | int | None


def write_rows(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    rows: Iterable[tuple[DriverValue, ...]],
    update: Sequence[str] = (),
) -> int:
    """Insert rows; where the primary key exists, set the named columns to the new values.

    Args:
        connection: An open write transaction.
        table: The table; its primary key decides what a conflict is.
        columns: Names of the columns, in the order of the tuples.
        rows: Driver values, one tuple per row.
        update: Columns to overwrite on a conflict, of rows that all have another primary key; none = a conflict is
            an error.

    Returns:
        How many rows were written.

    Raises:
        ValueError: the table does not have a column.
    """
    values = rows if isinstance(rows, list) else list(rows)
    _write(connection, table, columns, list(chain.from_iterable(values)), update)
    return len(values)


def write_columns(
    connection: Connection, table: Table, columns: Mapping[str, Sequence[DriverValue]], update: Sequence[str] = ()
) -> int:
    """Insert rows as `write_rows`, from whole columns of equal length, without a tuple per row.

    Raises:
        ValueError: the table does not have a column, or lengths differ.
    """
    count, width = len(next(iter(columns.values()))), len(columns)
    flat: list[DriverValue] = [None] * (count * width)
    for place, column in enumerate(columns.values()):
        flat[place::width] = column
    _write(connection, table, tuple(columns), flat, update)
    return count


def _write(
    connection: Connection, table: Table, columns: Sequence[str], flat: list[DriverValue], update: Sequence[str]
) -> None:
    check_columns(table, (*columns, *update))
    width = len(columns)
    if connection.dialect.name != "sqlite" and len(flat) >= MIN_COPY_ROWS * width:
        rows = zip(*[iter(flat)] * width, strict=True)
        copy_rows(connection, table, columns, rows, conflict_clause(connection, table, update))
        return
    # Hundreds of rows per statement: SQLite releases the GIL for each step, and with fetching threads every step of a
    # row-wise insert would wait for it again. PostgreSQL runs one statement faster than one per row.
    size = _PARAMETERS // width * width
    whole = len(flat) // size * size
    if whole:
        statement = _statement(connection, table, columns, size // width, update)
        for start in range(0, whole, size):
            connection.exec_driver_sql(statement, tuple(flat[start : start + size]))
    if rest := tuple(flat[whole:]):
        connection.exec_driver_sql(_statement(connection, table, columns, len(rest) // width, update), rest)


def check_columns(table: Table, names: Iterable[str]) -> None:
    """Raise for names that are not columns of a table.

    Raises:
        ValueError: a name is not a column.
    """
    unknown = sorted(name for name in set(names) if name not in table.c)
    if unknown:
        raise ValueError(
            f"{table.name} has no column {', '.join(unknown)}; its columns are {', '.join(table.c.keys())}"
        )


def _statement(connection: Connection, table: Table, columns: Sequence[str], rows: int, update: Sequence[str]) -> str:
    quote = connection.dialect.identifier_preparer.quote
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    names = ", ".join(quote(name) for name in columns)
    row = f"({', '.join([mark] * len(columns))})"
    # Only names of the table's own columns get here (checked above); every value is bound.
    text = f"INSERT INTO {quote(table.name)} ({names}) VALUES {', '.join([row] * rows)}"  # noqa: S608
    return f"{text} {conflict_clause(connection, table, update)}"


def conflict_clause(connection: Connection, table: Table, update: Sequence[str]) -> str:
    """Return the ON CONFLICT clause of an INSERT; empty if no column is to be set.

    Args:
        connection: Any connection.
        table: The table.
        update: Columns to set to the new values.
    """
    if not update:
        return ""
    quote = connection.dialect.identifier_preparer.quote
    keys = ", ".join(quote(column.name) for column in table.primary_key.columns)
    return f"ON CONFLICT ({keys}) DO UPDATE SET " + ", ".join(
        f"{quote(name)} = excluded.{quote(name)}" for name in update
    )


def read_columns(
    connection: Connection, query: Select[Any], parameters: Mapping[str, object] | None = None
) -> tuple[Sequence[object], ...]:
    """Return the columns of a query as driver values, for `days_array` and others.

    Args:
        connection: Any connection.
        query: The query.
        parameters: Values of its bound parameters by name.

    Returns:
        One sequence per column, all empty without rows.
    """
    result = connection.execute(query, parameters)
    cursor = result.cursor
    rows = cursor.fetchall() if cursor is not None else []
    width = len(result.keys())
    result.close()
    flat = tuple(chain.from_iterable(rows))  # its slices take half the time of zip(*rows) over thousands of rows
    return tuple(flat[place::width] for place in range(width))


def nullable(values: NDArray[np.float64]) -> list[float | None]:
    """Return `(n,)` numbers as driver values: NaN becomes null."""
    absent = np.isnan(values)
    if not absent.any():
        return values.tolist()  # type: ignore[no-any-return]
    return [None if missing else value for value, missing in zip(values.tolist(), absent.tolist(), strict=True)]


def driver_days(days: NDArray[np.datetime64]) -> list[str]:
    """Return `(n,)` datetime64[D] as ISO text, which both databases accept as dates."""
    return list(map(_day_text, days.astype("datetime64[D]").astype(np.int64).tolist()))


@cache
def _day_text(day: int) -> str:
    """Return the ISO text of a day since 1970; kept, because the symbols of a calendar have the same days."""
    return str(np.datetime64(day, "D"))


def driver_instants(connection: Connection, instants: NDArray[np.datetime64]) -> list[str]:
    """Return `(n,)` datetime64 UTC as the text of an `Instant` column."""
    if connection.dialect.name != "sqlite":
        return [f"{text}+00:00" for text in instants.astype("datetime64[us]").astype(str).tolist()]
    return [text.replace("T", " ") for text in instants.astype("datetime64[us]").astype(str).tolist()]


def driver_instant(connection: Connection, instant: datetime) -> str:
    """Return one aware instant as the text of an `Instant` column.

    Raises:
        ValueError: the instant is naive.
    """
    return driver_instants(connection, np.array([to_utc(instant).replace(tzinfo=None)], "datetime64[us]"))[0]


def days_array(values: Sequence[object]) -> NDArray[np.datetime64]:
    """Return driver values of a date column (ISO text or `date`) as `(n,)` datetime64[D]."""
    return np.array(values, "datetime64[D]") if values else np.empty(0, "datetime64[D]")


def instants_array(values: Sequence[object]) -> NDArray[np.datetime64]:
    """Return driver values of an `Instant` column as `(n,)` datetime64[s], UTC; fractions of a second are cut."""
    if not values:
        return np.empty(0, "datetime64[s]")
    if isinstance(values[0], str):
        return np.array(values, "U19").astype("datetime64[s]")
    return np.array([int(value.timestamp()) for value in values], "datetime64[s]")  # type: ignore[attr-defined]


def floats_array(values: Sequence[object]) -> NDArray[np.float64]:
    """Return driver values of a number column as `(n,)` float64; null becomes NaN."""
    return np.array(values, np.float64)  # None converts to NaN
