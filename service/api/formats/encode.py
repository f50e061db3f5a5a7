"""Encodes rows as CSV, Parquet or Arrow with pyarrow, part by part.

Arrays are made of buffers: pyarrow's `array` would load pandas into the API process.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from service.api.formats.negotiate import TableFormat
from service.api.formats.table import Column, Kind, Row
from service.clock import instant_text

_TYPES: Mapping[Kind, Any] = {
    "text": pa.string(),
    "float": pa.float64(),
    "integer": pa.int64(),
    "truth": pa.bool_(),
    "date": pa.date32(),
    "instant": pa.timestamp("us", tz="UTC"),
}
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters by which a spreadsheet takes a text for a formula; the last four are the wide = + - @."""


class _Sink:
    """A file that keeps what was written until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def flush(self) -> None:
        """Do nothing: what was written is there already."""

    def close(self) -> None:
        """Do nothing: the last part is still taken."""

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def encode(form: TableFormat, columns: Sequence[Column], chunks: Iterable[Iterable[Row]]) -> Iterator[bytes]:
    """Yield a table in parts.

    Args:
        form: Its format.
        columns: The columns; each row has a value for each, None = missing.
        chunks: The rows in parts.
    """
    columns = [_as_text(column) for column in columns] if form == "csv" else columns
    schema = pa.schema([pa.field(column.name, _TYPES[column.kind]) for column in columns])
    sink = _Sink()
    with pa.PythonFile(sink, mode="w") as file:
        writer = _writer(form, file, schema)
        for rows in chunks:
            values = [list(column) for column in zip(*rows, strict=True)]
            if values:
                writer.write_batch(_batch(form, columns, values, schema))
            if data := sink.take():
                yield data
        writer.close()
    yield sink.take()


def _writer(form: TableFormat, file: Any, schema: Any) -> Any:
    if form == "csv":
        return csv.CSVWriter(file, schema, write_options=csv.WriteOptions(quoting_style="needed"))
    if form == "parquet":
        return parquet.ParquetWriter(file, schema, compression="zstd")
    return pa.ipc.new_stream(file, schema)


def _as_text(column: Column) -> Column:
    """Return the column as CSV has it: instants as in JSON, for which Arrow would need a zone database."""
    return Column(column.name, "text") if column.kind == "instant" else column


def _batch(form: TableFormat, columns: Sequence[Column], values: Sequence[list[Any]], schema: Any) -> Any:
    if form == "csv":
        values = [
            [csv_text(value) for value in column_values] if column.kind == "text" else column_values
            for column, column_values in zip(columns, values, strict=True)
        ]
    arrays = [_array(column.kind, items) for column, items in zip(columns, values, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def csv_text(value: object) -> str | None:
    """Return a text for a CSV cell; one that a spreadsheet would compute gets a quote before it."""
    if value is None:
        return None
    text = str(value)
    if isinstance(value, datetime):
        text = instant_text(value, "microseconds").removesuffix("Z").rstrip("0").rstrip(".") + "Z"
    return f"'{text}" if text.startswith(_FORMULA) else text


def _array(kind: Kind, values: list[Any]) -> Any:
    present = np.fromiter((value is not None for value in values), np.bool_, len(values))
    validity = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.Array.from_buffers(_TYPES[kind], len(values), [validity, *_buffers(kind, values)])


def _buffers(kind: Kind, values: list[Any]) -> list[Any]:
    """Return the data of an array; missing values are any number."""
    if kind == "text":
        texts = [b"" if value is None else str(value).encode("utf-8", "replace") for value in values]
        ends = np.cumsum([0, *(len(text) for text in texts)], dtype=np.int32)
        return [pa.py_buffer(ends), pa.py_buffer(b"".join(texts))]
    if kind == "truth":
        truths = np.array([bool(value) for value in values], np.bool_)
        return [pa.py_buffer(np.packbits(truths, bitorder="little"))]
    if kind == "date":
        days = [0 if value is None else value.toordinal() - _EPOCH_DAY for value in values]
        return [pa.py_buffer(np.array(days, np.int32))]
    if kind == "instant":
        instants = [0 if value is None else (value - _EPOCH) // _MICROSECOND for value in values]
        return [pa.py_buffer(np.array(instants, np.int64))]
    numbers = [0 if value is None else value for value in values]
    return [pa.py_buffer(np.array(numbers, np.float64 if kind == "float" else np.int64))]
