"""Reads a Parquet file of prices into columns, within the limits of the reader."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pa_parquet

from service.prices.sources.base import NoData
from service.prices.sources.files.header import HeaderFault, Layout, find_header, order_names, tuple_header
from service.prices.sources.files.limits import MOST_BYTES, MOST_RATIO, fault, printable
from service.prices.sources.files.text import RawTable

MAGIC = b"PAR1"
_VALUE_BYTES = 8
_RATIO_FROM = 1_000_000


def parquet_layout(path: Path, data: bytes) -> Layout:
    """Return the layout of a Parquet file.

    Raises:
        Malformed: It cannot be read, or its columns are no prices.
    """
    return _layout(path, _open(path, data))


def read_parquet(path: Path, data: bytes) -> RawTable:
    """Read the columns of a Parquet file.

    Raises:
        NoData: It has no rows.
        Malformed: It cannot be read, exceeds a limit, or its columns are no prices.
    """
    file = _open(path, data)
    layout = _layout(path, file)
    names = order_names(file.schema_arrow.names)
    rows = file.metadata.num_rows
    if rows == 0:
        raise NoData(f"{printable(path)}: the file holds no rows; fill it or delete it")
    positions = [layout.date, *(k for k in (layout.symbol, layout.period) if k is not None)]
    positions = sorted({*positions, *(column.position for column in layout.columns)})
    _check_size(path, file.metadata, rows * len(positions) * _VALUE_BYTES, len(data))
    try:
        table = file.read(columns=[names[k] for k in positions], use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise fault(path, None, f"cannot be read as Parquet ({error}); write the file again") from error
    return RawTable(path, layout, {k: table[names[k]] for k in positions}, rows, lambda row: row, "", ())


def _open(path: Path, data: bytes) -> Any:
    try:
        file = pa_parquet.ParquetFile(pa.BufferReader(data))
        # Repeated texts stay in a dictionary, so they cannot grow to many times the file.
        texts = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
        return pa_parquet.ParquetFile(pa.BufferReader(data), read_dictionary=texts) if texts else file
    except (pa.ArrowException, OSError) as error:
        raise fault(path, None, f"cannot be read as Parquet ({error}); write the file again") from error


def _layout(path: Path, file: Any) -> Layout:
    names = order_names(file.schema_arrow.names)
    if len(set(names)) < len(names):
        raise fault(path, 1, "two columns have the same name; keep one of them")
    found = find_header(tuple_header(names))
    if isinstance(found, HeaderFault):
        raise fault(path, found.line, found.reason)
    return found


def _check_size(path: Path, metadata: Any, array_bytes: int, file_bytes: int) -> None:
    groups = [metadata.row_group(k) for k in range(metadata.num_row_groups)]
    unpacked = max(array_bytes, sum(group.total_byte_size for group in groups))
    if unpacked > MOST_BYTES:
        raise fault(path, None, f"unpacks to {unpacked / 1e6:.0f} MB, the limit is {MOST_BYTES / 1e6:.0f} MB; split it")
    if unpacked > max(_RATIO_FROM, MOST_RATIO * file_bytes):
        raise fault(path, None, f"unpacks to more than {MOST_RATIO} times its {file_bytes} bytes; write the file again")
