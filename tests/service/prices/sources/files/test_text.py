"""Texts of prices: encodings, line ends, delimiters."""

from pathlib import Path

import pytest

from service.prices.sources.base import Malformed, NoData
from service.prices.sources.files.text import decode, find_layout, read_text

PATH = Path("MADE.csv")


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("Eröffnung;1 €".encode(), "utf-8"),
        ("Eröffnung;1 €".encode("utf-8-sig"), "utf-8"),
        ("Eröffnung;1 €".encode("utf-16"), "utf-16-le"),
        ("Eröffnung;1 €".encode("utf-16-be"), "utf-16-be"),
        ("Eröffnung;1 €".encode("utf-32"), "utf-32-le"),
        ("Eröffnung;1 €".encode("cp1252"), "cp1252"),
    ],
)
def test_an_encoding_is_recognised(data: bytes, encoding: str) -> None:
    assert decode(PATH, data) == ("Eröffnung;1 €".encode(), encoding)


def test_bytes_that_cp1252_lacks_are_latin_1() -> None:
    assert decode(PATH, b"\xe9\x81") == ("é\x81".encode(), "latin-1")


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_line_ends_are_one_newline(end: str) -> None:
    assert decode(PATH, f"a{end}b{end}".encode())[0] == b"a\nb\n"


def test_bytes_are_no_text() -> None:
    with pytest.raises(Malformed, match=r"MADE\.csv:1: it is no text and no Parquet file"):
        decode(PATH, bytes(range(256)) * 4)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_gives_columns(delimiter: str) -> None:
    text = "Date,Open,Close\n2018-12-31,5,6\n".replace(",", delimiter)
    layout, found = find_layout(PATH, text.encode())
    assert (found, layout.width) == (delimiter, 3)


def test_a_line_is_counted_with_blank_lines_and_lines_above_the_header() -> None:
    raw = read_text(PATH, b"Title\n\ndate,close\n\n2018-12-28,5\n\n2018-12-31,6\n")
    assert [raw.line_of(row) for row in range(raw.rows)] == [5, 7]


@pytest.mark.parametrize(
    ("row", "words"),
    [("2018-12-31,5,6", "MADE.csv:3: 3 fields where the header has 2"), ("2018-12-31", "MADE.csv:3: 1 fields")],
)
def test_a_line_with_another_number_of_fields_is_refused(row: str, words: str) -> None:
    with pytest.raises(Malformed, match=words):
        read_text(PATH, f"date,close\n2018-12-28,5\n{row}\n".encode())


@pytest.mark.parametrize("text", ["date,close", "date,close\n", "date,close\n\n"])
def test_a_header_without_rows_has_no_data(text: str) -> None:
    with pytest.raises(NoData, match="a header and no rows"):
        read_text(PATH, text.encode())
