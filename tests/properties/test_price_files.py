"""Whatever a file holds, it is read or refused in one sentence."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import SourceError
from service.prices.sources.base import Record
from service.prices.sources.files import FilesSource
from tests.support.price_files import FORMS

CELLS = st.one_of(
    st.sampled_from(
        [
            "2018-12-31",
            "31.12.2018",
            "1/2/19",
            "20181231",
            "1546214400",
            "9999-01-01",
            "5",
            "5,5",
            "1.234,5",
            "$5",
            "12.5M",
        ]
    ),
    st.text(max_size=6),
)
HEADERS = st.sampled_from(
    ["date,close", "Date;Open;Close", "Date,AAPL,MSFT", "symbol,date,close", "time\tclose\tsplit"]
)


def assert_read_or_refused(name: str, content: bytes) -> None:
    """Read a file as a source does: it gives usable rows or one sentence, and SourceError is the only error."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(content)
        source = FilesSource(Path(folder), newest_year=2027)
        sentences = source.faults()
        for sentence in sentences:
            assert name in sentence
            assert sentence.isprintable()
        spans = []
        for symbol in source.symbols():
            try:
                series = source.load(symbol).series
            except SourceError:
                continue
            assert (series.sessions[1:] > series.sessions[:-1]).all()
            assert 1900 <= series.first.year <= series.last.year <= 2027
            assert np.isfinite(series.bars[:, 3]).any()
            spans.append((series.first, series.last))
        assert spans or sentences
        record = source.record()
        if spans:
            assert record == Record(min(first for first, _ in spans), max(last for _, last in spans))
        else:
            assert record is None


@settings(deadline=None, max_examples=60)
@given(HEADERS, st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=5))
def test_any_cells_are_read_or_refused(header: str, rows: list[list[str]]) -> None:
    delimiter = next(mark for mark in ",;\t" if mark in header)
    text = "\n".join([header, *(delimiter.join(row) for row in rows)])
    assert_read_or_refused("MADE.csv", text.encode("utf-8", "replace"))


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["2018-12-28", "2018-12-31", "2019-01-02", "2019-01-03", "1899-12-29", "2028-01-03"]),
            st.sampled_from(["5", "5.25", "6", ""]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_rows_in_any_order_are_read_or_refused(rows: list[tuple[str, str]]) -> None:
    text = "\n".join(["date,close", *map(",".join, rows)])
    assert_read_or_refused("MADE.csv", text.encode())


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(list(FORMS)), st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_any_damaged_file_is_read_or_refused(form: str, at: int, damage: bytes) -> None:
    content = FORMS[form].content
    assert_read_or_refused(FORMS[form].name, content[:at] + damage + content[at + len(damage) :])


@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    assert_read_or_refused("MADE.csv", content)
