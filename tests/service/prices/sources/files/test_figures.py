"""Columns of figures in every notation."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.prices.sources.files.figures import Figures, parse_figures


def parse(*columns: list[str | None], delimiter: str = ",") -> Figures:
    arrays = {k: pa.chunked_array([pa.array(cells, pa.string())]) for k, cells in enumerate(columns)}
    return parse_figures(arrays, delimiter)


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1046.15", " 5 "], [1046.15, 5.0]),
        (["$1046.15", "$5.00"], [1046.15, 5.0]),
        (["1,046.15", "5.00"], [1046.15, 5.0]),
        (["1.046,15", "5,00"], [1046.15, 5.0]),
        (["1 046,15", "5,00"], [1046.15, 5.0]),
        (["1\u202f046,15 €", "5,00 €"], [1046.15, 5.0]),
        (["1'046.15", "5.00"], [1046.15, 5.0]),
        (["12.5M", "1.2B"], [12500000.0, 1200000000.0]),
        (["12,5M", "850,25K"], [12500000.0, 850250.0]),
        (["1,234,567", "12"], [1234567.0, 12.0]),
        (["1.234.567", "12"], [1234567.0, 12.0]),
        (["12,34,567.80", "5"], [1234567.8, 5.0]),
        (["1e3", "2.5E-2"], [1000.0, 0.025]),
        (["-0,5", "0,123"], [-0.5, 0.123]),
        (["0.123", "$0.5"], [0.123, 0.5]),
    ],
)
def test_a_notation_is_read(cells: list[str], values: list[float]) -> None:
    found = parse(list(cells))
    assert found.values[0].tolist() == values
    assert (found.bad, found.mixed) == ({}, None)


@pytest.mark.parametrize(("delimiter", "value"), [(";", 79.382), (",", 79382.0), ("\t", 79382.0)])
def test_three_digits_after_a_comma_depend_on_the_delimiter(delimiter: str, value: float) -> None:
    found = parse(["79,382"], delimiter=delimiter)
    assert found.values[0].tolist() == [value]
    assert found.notes[0].startswith("commas assumed to")


def test_the_columns_decide_together() -> None:
    found = parse(["79,38", "80,12"], ["1.234", "5.678"], delimiter=";")
    assert found.values[1].tolist() == [1234.0, 5678.0]
    found = parse(["79.38", "80.12"], ["1,234", "5,678"], delimiter=";")
    assert found.values[1].tolist() == [1234.0, 5678.0]


@pytest.mark.parametrize("cell", ["", "null", "NaN", "N/A", "-", "—", "none"])
def test_words_for_nothing_are_nan(cell: str) -> None:
    found = parse(["$5", cell])
    assert np.isnan(found.values[0]).tolist() == [False, True]
    assert found.bad == {}


@pytest.mark.parametrize("cell", ["five", "1_000", "5%", "1.2.3", "12:30"])
def test_another_cell_is_bad(cell: str) -> None:
    found = parse(["$5.25", cell])
    assert found.bad[0].tolist() == [False, True]


def test_mixed_signs_are_found_and_a_single_slip_is_bad_alone() -> None:
    assert parse(["5,25", "5.75"]).mixed is not None
    slip = parse(["5,25"] * 40 + ["5.75"])
    assert slip.mixed is None
    assert np.flatnonzero(slip.bad[0]).tolist() == [40]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0.01, 1e9), min_size=1, max_size=10))
def test_figures_survive_grouping_and_decimal_commas(values: list[float]) -> None:
    expected = [round(value, 2) for value in values]
    american = [f"{value:,.2f}" for value in expected]
    european = [text.replace(",", "_").replace(".", ",").replace("_", ".") for text in american]
    assert parse([f"${text}" for text in american]).values[0].tolist() == pytest.approx(expected, rel=1e-12)
    assert parse([*european], delimiter=";").values[0].tolist() == pytest.approx(expected, rel=1e-12)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=8))
def test_any_text_gives_figures_or_bad_cells(cells: list[str]) -> None:
    found = parse([*cells])
    assert len(found.values[0]) == len(cells)
