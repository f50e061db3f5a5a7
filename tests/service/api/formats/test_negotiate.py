"""The format of an answer: what `Accept` headers of real clients choose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.formats.negotiate import accepted_format


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("", "json"),
        ("*/*", "json"),  # curl, httpx, requests
        ("application/json", "json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", "json"),  # a browser
        ("text/csv", "csv"),
        ("TEXT/CSV; charset=utf-8", "csv"),
        ("text/csv, */*;q=0.1", "csv"),
        ("application/json;q=0.5, text/csv;q=0.6", "csv"),
        ("application/json, text/csv", "json"),
        ("text/csv;q=0, application/json", "json"),
        ("text/csv;q=0", "json"),
        ("application/vnd.apache.parquet", "parquet"),
        ("application/vnd.apache.arrow.stream, text/csv;q=0.9", "arrow"),
        ("image/png", "json"),
        ("text/csv;q=high", "json"),
        ("text/csv;q=2, application/json;q=0.1", "json"),
        ("image/png," * 60 + "text/csv", "json"),  # only the first 50 parts are read
    ],
)
def test_the_preferred_format(header: str, chosen: str) -> None:
    assert accepted_format(header) == chosen


@given(st.text(max_size=200))
def test_any_header_chooses_a_format(header: str) -> None:
    assert accepted_format(header) in ("json", "csv", "parquet", "arrow")
