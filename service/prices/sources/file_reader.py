"""Reads one price file into arrays: CSV or Parquet, also gzipped; errors name the line.

Arrow reads the file. If Arrow fails, the text is read line by line to find the fault.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
from numpy.typing import NDArray

from service.prices.sources.base import Malformed, NoData
from service.prices.sources.replay import COLUMNS

SUFFIXES = (".csv.gz", ".csv", ".parquet.gz", ".parquet")
"""Endings of a price file; the part before them is the symbol."""

_HEADER_CHARACTERS = 60
_FIGURES = (*COLUMNS, "adj_close")
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class FileTable:
    """The rows of a price file.

    Attributes:
        sessions: `(n,)` datetime64[D], strictly ascending, n >= 1.
        bars: `(n, 5)` float64 in the order of `COLUMNS`; NaN where a figure is empty or its column absent.
        adj_close: `(n,)` float64, or None if the column is absent or empty.
    """

    sessions: NDArray[np.datetime64]
    bars: NDArray[np.float64]
    adj_close: NDArray[np.float64] | None


def read_table(path: Path) -> FileTable:
    """Read one price file.

    Args:
        path: A file ending in one of `SUFFIXES`. Columns `date` and `close` are required; `open, high, low, adj_close,
            volume` are read if present; others are ignored. Case does not matter.

    Raises:
        NoData: The file has no rows.
        Malformed: It cannot be read; the message names the file, line (or Parquet row) and reason.
    """
    data = read_bytes(path)
    if not data.strip():
        raise NoData(f"{path}: the file is empty; fill it or delete it")
    is_csv = ".csv" in path.name.lower()
    table = _read_csv(path, data) if is_csv else _read_parquet(path, data)
    if table["date"].null_count:
        empty = table["date"].is_null().to_pylist().index(True)
        raise _malformed(path, _line(data, empty, is_csv), "date is empty; give every row a date")
    sessions = table["date"].to_numpy().astype("datetime64[D]")
    steps = np.flatnonzero(np.diff(sessions) <= np.timedelta64(0, "D"))
    if len(steps):
        row = int(steps[0]) + 1
        before, after = sessions[row - 1], sessions[row]
        fault = f"date {after} is there twice" if before == after else f"date {after} comes after {before}"
        raise _malformed(path, _line(data, row, is_csv), f"{fault}; sort the rows by date, one row per date")
    adj_close = _figures(table, "adj_close")
    bars = np.column_stack([_figures(table, name) for name in COLUMNS])
    return FileTable(sessions, bars, None if bool(np.isnan(adj_close).all()) else adj_close)


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, unpacked if it is gzip; Malformed if it cannot be read or unpacked."""
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data.startswith(_GZIP_MAGIC) else data
    except (OSError, EOFError, zlib.error) as error:
        raise Malformed(f"{path}: cannot be read ({error}); replace the file") from error


def read_rows(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a small CSV file (manifest, list of actions) with line numbers, as text by column.

    Raises:
        Malformed: A column is missing or the text is not UTF-8.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_bytes(path).decode("utf-8-sig"), newline=""))
    except UnicodeDecodeError as error:
        raise Malformed(f"{path}: not UTF-8 text ({error.reason}); save it as UTF-8") from error
    missing = [column for column in columns if column not in (reader.fieldnames or [])]
    if missing:
        raise _malformed(path, 1, f"the header lacks {', '.join(missing)}; it needs {','.join(columns)}")
    return [(reader.line_num, {name: row[name] or "" for name in columns}) for row in reader]


def _read_csv(path: Path, data: bytes) -> pa.Table:
    header, _, body = data.partition(b"\n")
    names = _names(path, header.decode("utf-8", "replace").lstrip("\ufeff").rstrip("\r").split(","))
    if not body.strip():
        raise NoData(f"{path}: the file holds a header and no rows; fill it or delete it")
    types = {"date": pa.date32(), **dict.fromkeys(_FIGURES, pa.float64())}
    try:
        return pa_csv.read_csv(
            pa.BufferReader(body),
            read_options=pa_csv.ReadOptions(column_names=names, use_threads=False),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: types[name] for name in names if name in types},
                include_columns=[name for name in names if name in types],
            ),
        )
    except pa.ArrowInvalid as error:
        raise _find_fault(path, names, body, error) from error


def _find_fault(path: Path, names: list[str], body: bytes, error: Exception) -> Malformed:
    """Return the error for the line that Arrow refused."""
    for line, text in enumerate(body.decode("utf-8", "replace").splitlines(), start=2):
        if not text:
            continue
        fields = text.split(",")
        if len(fields) != len(names):
            return _malformed(path, line, f"{len(fields)} fields where the header has {len(names)}; repair the line")
        for name, field in zip(names, fields, strict=True):
            fault = _fault(name, field.strip().strip('"'))
            if fault:
                return _malformed(path, line, fault)
    return Malformed(f"{path}: cannot be read as CSV ({error}); repair the file")


def _fault(name: str, field: str) -> str | None:
    try:
        if name == "date":
            date.fromisoformat(field)
        elif name in _FIGURES and field:
            float(field)
    except ValueError:
        expected = "an ISO date such as 2018-12-31" if name == "date" else "a number"
        return f"{name} {field!r} is not {expected}; repair the line"
    return None


def _read_parquet(path: Path, data: bytes) -> pa.Table:
    try:
        table = pa_parquet.read_table(pa.BufferReader(data), use_threads=False)
        names = _names(path, table.column_names)
        table = table.rename_columns(names).select([name for name in names if name in ("date", *_FIGURES)])
        for at, field in enumerate(table.schema):
            # A zone-aware timestamp gives the date of its own zone, which is the exchange's, not the UTC date.
            arrow_type = pa.date32() if field.name == "date" else pa.float64()
            table = table.set_column(at, field.name, table[field.name].cast(arrow_type))
    except (pa.ArrowException, OSError) as error:
        raise Malformed(f"{path}: cannot be read as Parquet ({error}); write the file again") from error
    if table.num_rows == 0:
        raise NoData(f"{path}: the file holds no rows; fill it or delete it")
    return table


def _names(path: Path, header: list[str]) -> list[str]:
    names = [name.strip().strip('"').lower().replace(" ", "_") for name in header]
    if "close" not in names and "adj_close" in names:
        raise _malformed(
            path, 1, "the column close is missing next to adj_close; both adjusted and raw closes are needed"
        )
    for required in ("date", "close"):
        if names.count(required) != 1:
            raise _malformed(
                path, 1, f"the header needs one column {required}, it has {_short_header(header)}; "
                "write date,open,high,low,close,adj_close,volume"
            )  # fmt: skip
    repeated = sorted({name for name in names if name in _FIGURES and names.count(name) > 1})
    if repeated:
        raise _malformed(path, 1, f"the header has {', '.join(repeated)} twice; keep one of them")
    return names


def _figures(table: pa.Table, name: str) -> NDArray[np.float64]:
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    column: NDArray[np.float64] = table[name].to_numpy()
    return column


def _line(data: bytes, row: int, is_csv: bool) -> int:
    """Return the line of a row, from one, counting blank lines; for Parquet the row, from zero."""
    if not is_csv:
        return row
    line_numbers = [line for line, text in enumerate(data.splitlines(), start=1) if text]
    return line_numbers[row + 1]


def _malformed(path: Path, line: int, reason: str) -> Malformed:
    return Malformed(f"{path}:{line}: {reason}")


def _short_header(header: Sequence[str]) -> str:
    """Return a header short enough for a message, so that a binary file does not fill the terminal."""
    text = "".join(character if character.isprintable() else "." for character in ", ".join(header))
    return repr(text if len(text) <= _HEADER_CHARACTERS else f"{text[:_HEADER_CHARACTERS]}...")
