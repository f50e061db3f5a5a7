"""Encodes rows for PostgreSQL's binary COPY, from arrays without a Python object per value.

Source: https://www.postgresql.org/docs/current/sql-copy.html, section "Binary Format". Dates and instants count from
2000-01-01, days in four bytes and microseconds in eight; numbers are in network byte order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
_NULL = -1
_EPOCH_DAYS = 10_957
"""2000-01-01 in days since 1970-01-01."""
_EPOCH_MICROSECONDS = _EPOCH_DAYS * 86_400_000_000


@dataclass(frozen=True, slots=True)
class Field:
    """One column of the rows.

    Attributes:
        width: Bytes of a value.
        values: `(n,)` values as the server stores them, or one for all rows.
        absent: `(n,)` mask of the rows where it is null; None = no row.
    """

    width: int
    values: NDArray[np.generic] | bytes
    absent: NDArray[np.bool_] | None = None


def float_field(values: NDArray[np.float64]) -> Field:
    """Return `(n,)` numbers as double precision; NaN is null."""
    absent = np.isnan(values)
    return Field(8, values.astype(">f8"), absent if absent.any() else None)


def integer_field(values: NDArray[np.int64] | int, width: int) -> Field:
    """Return whole numbers in 4 or 8 bytes.

    Raises:
        ValueError: a number does not fit.
    """
    stored, bounds = np.atleast_1d(np.asarray(values, np.int64)), np.iinfo(f"i{width}")
    if len(stored) and not bounds.min <= stored.min() <= stored.max() <= bounds.max:
        raise ValueError(f"a whole number outside {bounds.min}..{bounds.max} does not fit into {width} bytes")
    return Field(width, stored.astype(f">i{width}"))


def day_field(days: NDArray[np.datetime64]) -> Field:
    """Return `(n,)` datetime64[D] as dates.

    Raises:
        ValueError: a date is missing (NaT).
    """
    _require_values(days)
    return Field(4, (days.astype("datetime64[D]").astype(np.int64) - _EPOCH_DAYS).astype(">i4"))


def instant_field(instants: NDArray[np.datetime64]) -> Field:
    """Return `(n,)` datetime64, UTC, as timestamps with a time zone.

    Raises:
        ValueError: an instant is missing (NaT).
    """
    _require_values(instants)
    microseconds = np.atleast_1d(instants).astype("datetime64[us]").astype(np.int64)
    return Field(8, (microseconds - _EPOCH_MICROSECONDS).astype(">i8"))


def text_field(text: bytes) -> Field:
    """Return one text for all rows, in the encoding of the connection."""
    return Field(len(text), text)


def encode_rows(count: int, fields: Sequence[Field]) -> bytes:
    """Return the whole stream: header, `count` rows, trailer."""
    shape: list[tuple[str, str]] = [("fields", ">i2")]
    for place, field in enumerate(fields):
        # V and not S: S would cut zero bytes at the end of a text.
        shape += [(f"length{place}", ">i4"), (f"value{place}", f"V{field.width}")]
    kind = np.dtype(shape)
    rows = np.zeros(count, kind)
    rows["fields"] = len(fields)
    for place, field in enumerate(fields):
        rows[f"length{place}"] = field.width
        if field.width:
            rows[f"value{place}"] = np.frombuffer(_bytes_of(field), f"V{field.width}")
        if field.absent is not None:
            rows[f"length{place}"][field.absent] = _NULL
    return _HEADER + _packed(rows, kind, fields) + _TRAILER


def _bytes_of(field: Field) -> bytes:
    return field.values if isinstance(field.values, bytes) else field.values.tobytes()


def _packed(rows: NDArray[np.void], kind: "np.dtype[np.void]", fields: Sequence[Field]) -> bytes:
    """Return the rows without the bytes of null values."""
    if all(field.absent is None for field in fields):
        return rows.tobytes()
    table = np.frombuffer(rows.tobytes(), np.uint8).reshape(len(rows), kind.itemsize)
    kept = np.ones(table.shape, bool)
    for place, field in enumerate(fields):
        if field.absent is not None:
            start: int = kind.fields[f"value{place}"][1]  # type: ignore[index]
            kept[field.absent, start : start + field.width] = False
    return table[kept].tobytes()


def _require_values(values: NDArray[np.datetime64]) -> None:
    if np.isnat(values).any():
        raise ValueError("a date or instant is missing (NaT); each row needs one")
