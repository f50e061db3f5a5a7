"""Reads a text of prices into columns of text: encoding, line ends, delimiter, header.

Arrow splits the text. If Arrow fails, the text is split line by line to find the fault.
"""

import csv
import io
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from service.prices.sources.base import NoData
from service.prices.sources.files.header import HEADER_LINES, HeaderFault, Layout, find_header
from service.prices.sources.files.limits import LONGEST_LINE, check_lines, fault, printable

_DELIMITERS: Final = (",", ";", "\t", "|")
_NAMES: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_BOMS: Final = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_SAMPLE = 4096


@dataclass(frozen=True, slots=True)
class RawTable:
    """The columns of a file before their values are read.

    Attributes:
        path: The file.
        layout: Its header.
        columns: Arrow columns by position, only those that the layout uses.
        rows: Number of rows.
        line_of: Returns the line of a row, from one; for Parquet the row, from zero.
        delimiter: Delimiter of the text; empty for Parquet.
        notes: What was recognised or assumed, as short phrases.
    """

    path: Path
    layout: Layout
    columns: dict[int, Any]
    rows: int
    line_of: Callable[[int], int]
    delimiter: str
    notes: tuple[str, ...]


def read_text(path: Path, data: bytes) -> RawTable:
    """Split a text into columns.

    Raises:
        NoData: It has a header and no rows.
        Malformed: It is no text, a line is too long, it has no header of prices, or a line has another number
            of fields.
    """
    text, encoding = decode(path, data)
    check_lines(path, text)
    layout, delimiter = find_layout(path, text)
    body = _after(text, layout.first_row)
    if not body.strip():
        raise NoData(f"{printable(path)}: the file holds a header and no rows; fill it or delete it")
    notes = (*((f"encoding {encoding}",) if encoding != "utf-8" else ()),)
    notes = (*notes, *((f"fields separated by {_NAMES[delimiter]}",) if delimiter != "," else ()))
    line_of = _line_counter(text, layout.first_row)
    columns = _split(body, layout, delimiter)
    if columns is None:
        body, lines = _repaired(path, body, layout, delimiter)
        line_of = lines.__getitem__
        columns = _split(body, layout, delimiter)
    if columns is None:
        raise fault(path, None, "cannot be read as CSV; repair the file")
    return RawTable(path, layout, columns, len(columns[layout.date]), line_of, delimiter, notes)


def decode(path: Path, data: bytes) -> tuple[bytes, str]:
    """Return a text in UTF-8 with line ends of one newline, and its encoding.

    UTF-8, UTF-16 and UTF-32 are recognised by their mark or zero bytes; other bytes are cp1252, else latin-1.

    Raises:
        Malformed: It is no text.
    """
    if data.isascii() and b"\r" not in data and b"\0" not in data[:_SAMPLE]:
        return data, "utf-8"
    codec, text = _decoded(data)
    if "\0" in text[:_SAMPLE]:
        raise fault(path, 1, "it is no text and no Parquet file; export the prices as CSV")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.encode("utf-8", "replace"), codec


def _decoded(data: bytes) -> tuple[str, str]:
    for mark, codec in _BOMS:
        if data.startswith(mark):
            return codec, data[len(mark) :].decode(codec, "replace")
    zeros = np.frombuffer(data[:_SAMPLE], np.uint8) == 0
    if zeros.any():
        even, odd = float(zeros[::2].mean()), float(zeros[1::2].mean()) if len(zeros) > 1 else 0.0
        codec = "utf-16-le" if odd > 0.5 > even else "utf-16-be" if even > 0.5 > odd else "latin-1"
        return codec, data.decode(codec, "replace")
    for codec in ("utf-8", "cp1252"):
        try:
            return codec, data.decode(codec)
        except UnicodeDecodeError:
            continue
    return "latin-1", data.decode("latin-1")


def find_layout(path: Path, text: bytes) -> tuple[Layout, str]:
    """Return the header of a text, and the delimiter under which most columns are known.

    Raises:
        Malformed: Under no delimiter is there a header of prices.
    """
    head = text[: HEADER_LINES * (LONGEST_LINE + 1)].decode("utf-8", "ignore").split("\n")[: HEADER_LINES + 2]
    best: tuple[int, Layout, str] | None = None
    worst: HeaderFault | None = None
    for delimiter in _DELIMITERS:
        if delimiter != "," and not any(delimiter in line for line in head):
            continue
        found = find_header(_cells(head, delimiter))
        if isinstance(found, HeaderFault):
            # A line that one delimiter splits says more than one that no delimiter splits.
            worst = found if worst is None or (delimiter in head[found.line - 1] and "twice" in found.reason) else worst
        elif best is None or len(found.columns) > best[0]:
            best = (len(found.columns), found, delimiter)
    if best is None:
        assert worst is not None
        raise fault(path, worst.line, worst.reason)
    return best[1], best[2]


def _cells(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """Return the cells of lines; a line that is no CSV has one."""
    cells = []
    for line in lines:
        try:
            cells.append(next(csv.reader([line], delimiter=delimiter), []))
        except csv.Error:
            cells.append([line])
    return cells


def _after(text: bytes, lines: int) -> bytes:
    start = 0
    for _ in range(lines):
        end = text.find(b"\n", start)
        if end < 0:
            return b""
        start = end + 1
    return text[start:]


def _split(body: bytes, layout: Layout, delimiter: str) -> dict[int, Any] | None:
    """Split by Arrow; None if a line has another number of fields."""
    used = _used(layout)
    plain = {layout.date: pa.date32(), **{column.position: pa.float64() for column in layout.columns}}
    # Plain dates and figures are converted while they are split, other forms afterwards.
    for kinds in (plain, {}):
        try:
            table = pa_csv.read_csv(
                pa.BufferReader(body),
                read_options=pa_csv.ReadOptions(column_names=[str(k) for k in range(layout.width)], use_threads=False),
                parse_options=pa_csv.ParseOptions(delimiter=delimiter),
                convert_options=pa_csv.ConvertOptions(
                    column_types={str(k): kinds.get(k, pa.string()) for k in used},
                    include_columns=[str(k) for k in used],
                ),
            )
        except pa.ArrowInvalid:
            continue
        return {k: table[str(k)] for k in used}
    return None


def _repaired(path: Path, body: bytes, layout: Layout, delimiter: str) -> tuple[bytes, "array[int]"]:
    """Return the lines without empty fields past the header's, and their numbers.

    Raises:
        NoData: No line is left.
        Malformed: A line has another number of fields; the message names it.
    """
    kept = io.BytesIO()
    lines = array("q")
    for line, content in enumerate(body.split(b"\n"), start=layout.first_row + 1):
        text = content.decode("utf-8", "replace")
        cells = _cells([text], delimiter)[0]
        if not any(cell.strip() for cell in cells):
            continue
        while len(cells) > layout.width and not cells.pop().strip():
            text = text.rstrip(" ")[:-1]
        if len(cells) != layout.width or len(_cells([text], delimiter)[0]) != layout.width:
            count = len(_cells([content.decode("utf-8", "replace")], delimiter)[0])
            raise fault(path, line, f"{count} fields where the header has {layout.width}; repair the line")
        kept.write(text.encode() + b"\n")
        lines.append(line)
    if not lines:
        raise NoData(f"{printable(path)}: the file holds a header and no rows; fill it or delete it")
    return kept.getvalue(), lines


def _used(layout: Layout) -> list[int]:
    others = [k for k in (layout.symbol, layout.period) if k is not None]
    return sorted({layout.date, *others, *(column.position for column in layout.columns)})


def _line_counter(text: bytes, first_row: int) -> Callable[[int], int]:
    """Return a function that finds the line of a row; Arrow skips blank lines."""

    def line_of(row: int) -> int:
        count = -1
        for line, content in enumerate(text.split(b"\n"), start=1):
            count += line > first_row and bool(content)
            if count == row:
                return line
        raise AssertionError(f"there is no row {row}")

    return line_of
