"""Reads columns of figures: currency signs, thousands, decimal commas, and `12.5M`.

One notation applies to the whole file: the columns decide together whether the comma or the point is the decimal sign.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_NULLS: Final = pa.array(["", "null", "nan", "n/a", "na", "none", "-", "--", "\u2013", "\u2014", "."])
# White space with the no-break and narrow spaces, signs of currencies, and apostrophes that group thousands.
_SIGNS: Final = "[\\s\u00a0\u2009\u202f$\u20ac\u00a3\u00a5'\u2019]|(?i:USD|EUR|GBP|CHF)"
_MULTIPLES: Final = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_END: Final = r"(?:[eE][+-]?\d+)?[KMBTkmbt]?$"
_GROUPED: Final = {
    sign: rf"^[+-]?\d{{1,3}}(?:{re.escape(sign)}\d{{2,3}})*{re.escape(sign)}\d{{3}}(?:[^\d].*)?$" for sign in ",."
}
_COMMA_DECIMAL: Final = rf",(?:\d{{1,2}}|\d{{4,}}){_END}|^[+-]?0?,\d|\.\d{{3}},\d*{_END}|\d\.\d{{3}}\.\d{{3}}"
_POINT_DECIMAL: Final = rf"\.(?:\d{{1,2}}|\d{{4,}}){_END}|^[+-]?0?\.\d|,\d{{3}}\.\d*{_END}|\d,\d{{3}},\d{{3}}"
_CONTRADICTIONS: Final = 0.05
"""Share of cells in the other notation from which the notation of a file is unclear."""

_EITHER: Final = rf"^[+-]?[1-9]\d{{0,2}},\d{{3}}{_END}"


@dataclass(frozen=True, slots=True)
class Figures:
    """Columns as numbers.

    Attributes:
        values: `(n,)` float64 per key; NaN where a cell is empty or no figure.
        bad: `(n,)` per key, only for keys with a cell that is no figure.
        notes: The notation, as short phrases.
        mixed: Row in which the other decimal sign is found, None if the notation is clear.
    """

    values: dict[Any, FloatArray]
    bad: dict[Any, BoolArray]
    notes: tuple[str, ...] = ()
    mixed: int | None = None


def parse_figures(columns: Mapping[Any, Any], delimiter: str) -> Figures:
    """Read columns of equal length as numbers.

    Args:
        columns: Arrow columns of text or numbers by key.
        delimiter: Delimiter of the text; between semicolons a comma is rather decimal, between commas rather thousands.
    """
    values = {key: _as_numbers(column) for key, column in columns.items()}
    if all(value is not None for value in values.values()):
        return Figures({key: value for key, value in values.items() if value is not None}, {})
    texts = {key: _stripped(column) for key, column in columns.items() if _is_text(column.type)}
    comma, mixed, notes = _notation(texts, delimiter)
    bad: dict[Any, BoolArray] = {}
    parsed: dict[Any, FloatArray] = {}
    for key in columns:
        if key not in texts:
            found = values[key]
            parsed[key] = np.full(len(columns[key]), np.nan) if found is None else found
            if found is None:
                bad[key] = np.ones(len(columns[key]), bool)
            continue
        parsed[key], wrong = _numbers(texts[key], comma)
        if wrong.any():
            bad[key] = wrong
    return Figures(parsed, bad, notes, mixed)


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


def _as_numbers(column: Any) -> FloatArray | None:
    """Return a column whose cells are plain numbers or empty; None if one is not."""
    try:
        if _is_text(column.type):
            text = pc.utf8_trim_whitespace(column.cast(pa.string()))
            column = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
        numbers: FloatArray = column.cast(pa.float64()).to_numpy()
        return numbers
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _stripped(column: Any) -> Any:
    """Return texts without spaces and currency signs; null where there is no figure."""
    text = pc.replace_substring_regex(column.cast(pa.string()), _SIGNS, "")
    return pc.if_else(pc.is_in(pc.utf8_lower(text), value_set=_NULLS), pa.scalar(None, pa.string()), text)


def _notation(texts: Mapping[Any, Any], delimiter: str) -> tuple[bool, int | None, tuple[str, ...]]:
    """Return whether the comma is decimal, a row that contradicts, and notes."""
    commas, points = _matches(texts, _COMMA_DECIMAL), _matches(texts, _POINT_DECIMAL)
    if len(commas) and len(points):
        decimal = len(commas) > len(points)
        fewer, more = (points, commas) if decimal else (commas, points)
        # A few cells in the other notation are faults of their rows, not of the file.
        return decimal, int(fewer[0]) if len(fewer) > _CONTRADICTIONS * len(more) else None, ()
    if len(commas):
        return True, None, ("decimal comma",)
    if not len(points) and len(_matches(texts, _EITHER)):
        decimal = delimiter == ";"
        return decimal, None, ("commas assumed to be decimal" if decimal else "commas assumed to group thousands",)
    return False, None, ()


def _matches(texts: Mapping[Any, Any], pattern: str) -> NDArray[np.int64]:
    """Return the rows in which a column matches a pattern, once per column, ascending."""
    found = [
        np.flatnonzero(pc.fill_null(pc.match_substring_regex(text, pattern), False).to_numpy())
        for text in texts.values()
    ]
    rows: NDArray[np.int64] = np.sort(np.concatenate(found)) if found else np.empty(0, np.int64)
    return rows


def _numbers(text: Any, comma: bool) -> tuple[FloatArray, BoolArray]:
    group, decimal = (".", ",") if comma else (",", ".")
    plain = pc.if_else(
        pc.fill_null(pc.match_substring_regex(text, _GROUPED[group]), False),
        pc.replace_substring(text, group, ""),
        text,
    )
    if comma:
        plain = pc.replace_substring(plain, group, "?")  # a point that groups nothing makes no figure
        plain = pc.replace_substring(plain, decimal, ".")
    last = pc.utf8_upper(pc.utf8_slice_codeunits(plain, -1))
    multiple = np.ones(len(text))
    for sign, value in _MULTIPLES.items():
        multiple[pc.fill_null(pc.equal(last, sign), False).to_numpy()] = value
    plain = pc.replace_substring_regex(plain, "[KMBTkmbt]$", "")
    numbers = _as_numbers(plain)
    if numbers is not None:
        return numbers * multiple, np.zeros(len(text), bool)
    parsed = [_number(cell) for cell in plain.to_pylist()]
    values = np.array([np.nan if cell is None else cell for cell in parsed])
    return values * multiple, np.array([cell is None for cell in parsed])


def _number(cell: str | None) -> float | None:
    """Return a cell as a number, NaN if empty, None if it is none."""
    try:
        return np.nan if cell is None or cell == "" else float(cell.replace("_", "?"))
    except ValueError:
        return None
