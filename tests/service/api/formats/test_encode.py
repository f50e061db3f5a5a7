"""Rows come back from CSV, Parquet and Arrow as they were; a spreadsheet computes nothing of a CSV."""

import csv
import io
import subprocess
import sys
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.formats.encode import csv_text, encode
from service.api.formats.negotiate import TableFormat
from service.api.formats.table import Column

COLUMNS = (
    Column("symbol", "text"),
    Column("close", "float"),
    Column("edition", "integer"),
    Column("served", "truth"),
    Column("session", "date"),
    Column("issued_at", "instant"),
)
FULL = ("^VIX", 0.1, 2**53 + 1, True, date(2018, 6, 1), datetime(2018, 6, 1, 21, 40, tzinfo=UTC))
OLD = ('a,"b"\nä', -1.5, -1, False, date(1900, 1, 2), datetime(1960, 1, 2, 3, 4, 5, 600, tzinfo=UTC))
EMPTY = (None,) * 6


def read(form: TableFormat, data: bytes) -> list[tuple[Any, ...]]:
    table = pa.parquet.read_table(io.BytesIO(data)) if form == "parquet" else pa.ipc.open_stream(data).read_all()
    return [tuple(row.values()) for row in table.to_pylist()]


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_rows_come_back_with_their_types(form: TableFormat) -> None:
    parts = list(encode(form, COLUMNS, [[FULL, EMPTY], [], [OLD]]))
    assert len([part for part in parts if part]) >= 3  # each chunk is sent before the next is read
    assert read(form, b"".join(parts)) == [FULL, EMPTY, OLD]


def test_csv_has_the_texts_of_the_json_answer() -> None:
    assert b"".join(encode("csv", COLUMNS, [[FULL, EMPTY], [OLD]])).decode() == (
        '"symbol","close","edition","served","session","issued_at"\n'
        '"^VIX",0.1,9007199254740993,true,2018-06-01,"2018-06-01T21:40:00Z"\n'
        ",,,,,\n"
        '"a,""b""\nä",-1.5,-1,false,1900-01-02,"1960-01-02T03:04:05.0006Z"\n'
    )


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
def test_a_table_without_rows_has_its_columns(form: TableFormat) -> None:
    data = b"".join(encode(form, COLUMNS, [[]]))
    if form == "csv":
        assert list(pd.read_csv(io.BytesIO(data)).columns) == [column.name for column in COLUMNS]
    else:
        assert read(form, data) == []


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_text_that_a_spreadsheet_would_compute_is_quoted(text: str) -> None:
    assert csv_text(text) == f"'{text}"


def test_numbers_and_other_texts_stay_as_they_are() -> None:
    assert [csv_text(text) for text in ("AAPL", "^VIX", "a=b", "", None)] == ["AAPL", "^VIX", "a=b", "", None]
    assert b",-0.5," in b"".join(encode("csv", COLUMNS, [[("A", -0.5, 1, True, None, None)]]))


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.floats(allow_nan=False)), max_size=30))
def test_any_text_and_number_come_back(rows: list[tuple[str, float]]) -> None:
    columns = (Column("a", "text"), Column("b", "float"))
    assert read("arrow", b"".join(encode("arrow", columns, [rows]))) == rows
    data = b"".join(encode("csv", columns, [rows])).decode()
    _, *back = csv.reader(io.StringIO(data, newline=""))
    assert [(text, float(number)) for text, number in back] == [(csv_text(text), number) for text, number in rows]


def test_no_format_loads_pandas() -> None:
    code = (
        "import sys\n"
        "from service.api.formats.encode import encode\n"
        "from service.api.formats.table import Column\n"
        "for form in ('csv', 'parquet', 'arrow'):\n"
        "    list(encode(form, [Column('a', 'text'), Column('b', 'float')], [[('x', 1.0)], [(None, None)]]))\n"
        "sys.exit('pandas' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0
