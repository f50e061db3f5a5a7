"""Reads a price file of any ordinary form into the rows of each symbol."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from service.errors import SourceError
from service.prices.sources.base import Malformed, NoData
from service.prices.sources.files.dates import DateRules, Dates, parse_dates
from service.prices.sources.files.figures import BoolArray, Figures, FloatArray, parse_figures
from service.prices.sources.files.header import Adjustment, Column
from service.prices.sources.files.limits import LONGEST_LINE, fault, printable, read_bytes
from service.prices.sources.files.names import STOOQ, FileName, normalise_symbol
from service.prices.sources.files.parquet import MAGIC, parquet_layout, read_parquet
from service.prices.sources.files.text import RawTable, decode, find_layout, read_text
from service.prices.sources.replay import COLUMNS

_HEAD_BYTES = 2 * LONGEST_LINE
_UNUSABLE: Final = (pa.ArrowInvalid, pa.ArrowNotImplementedError)
_DAILY: Final = ("D", "1D", "DAILY", "DAY", "")

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FileTable:
    """The rows of one symbol in a price file.

    Attributes:
        sessions: `(n,)` datetime64[D], strictly ascending, n >= 1.
        bars: `(n, 5)` float64 in the order of `COLUMNS`; NaN where a figure is empty or its column absent.
        adj_close: `(n,)` float64, or None if the column is absent or empty.
        dividends: `(n,)` cash per share by ex-date, or None if the column is absent.
        splits: `(n,)` new shares per old one by ex-date, or None if the column is absent.
    """

    sessions: NDArray[np.datetime64]
    bars: FloatArray
    adj_close: FloatArray | None = None
    dividends: FloatArray | None = None
    splits: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class ReadRules:
    """What is needed to read a file.

    Attributes:
        newest_year: Last year that a row may have.
        calendar_of: Returns the calendar name of a symbol.
    """

    newest_year: int
    calendar_of: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class PriceFile:
    """A price file that was read.

    Attributes:
        form: What it was read as.
        adjustment: What its closes are adjusted for, by its form.
        notes: What was recognised or assumed, as short phrases.
        tables: Rows by symbol, or the reason why those of one symbol cannot be used.
    """

    form: str
    adjustment: Adjustment
    notes: tuple[str, ...]
    tables: dict[str, FileTable | SourceError]


def symbols_of(path: Path, name: FileName) -> tuple[str, ...]:
    """Return the symbols that a file holds.

    Only its head is read, unless it has a column of symbols.

    Raises:
        NoData: The file is empty.
        Malformed: It cannot be read, its header is none of prices, or nothing names a symbol.
    """
    data = read_bytes(path, _HEAD_BYTES)
    if data.startswith(MAGIC):
        layout = parquet_layout(path, read_bytes(path))
    else:
        _require_content(path, data)
        layout = find_layout(path, decode(path, data)[0])[0]
    if layout.symbol is not None:
        raw = _read_columns(path, read_bytes(path))
        try:
            return tuple(_groups(raw, name))
        except _UNUSABLE as error:
            raise _unusable(path, error) from error
    return layout.symbols or (_named(path, name),)


def read_price_file(path: Path, name: FileName, rules: ReadRules) -> PriceFile:
    """Read one price file.

    Args:
        path: A text or Parquet file, perhaps gzipped. A date and a close are required per row; open, high, low,
            adjusted close, volume, dividend and split are read if present, other columns are ignored.
        name: What its name says; the symbol is used if the file names none.
        rules: Years and calendars.

    Raises:
        NoData: The file has no rows.
        Malformed: It cannot be read; the message names the file, line (or Parquet row) and reason.
    """
    data = read_bytes(path)
    _require_content(path, data)
    raw = _read_columns(path, data)
    try:
        return _read(raw, name, rules)
    except _UNUSABLE as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: Exception) -> Malformed:
    return fault(path, None, f"a column has values of an unusable kind ({error}); write the file again")


def _read_columns(path: Path, data: bytes) -> RawTable:
    is_parquet = data.startswith(MAGIC) or ".parquet" in path.name.lower()
    return read_parquet(path, data) if is_parquet else read_text(path, data)


def _require_content(path: Path, data: bytes) -> None:
    if not data.strip():
        raise NoData(f"{printable(path)}: the file is empty; fill it or delete it")


def _named(path: Path, name: FileName) -> str:
    if not name.symbol:
        raise fault(path, None, "nothing names the symbol; rename it to SYMBOL.csv, or list file,symbol in symbols.csv")
    return name.symbol


def _read(raw: RawTable, name: FileName, rules: ReadRules) -> PriceFile:
    layout = raw.layout
    groups = _groups(raw, name)
    _require_daily(raw)
    # The calendar settles dates of the whole column: that of the first symbol.
    dates = parse_dates(
        raw.columns[layout.date], DateRules(rules.newest_year, lambda: rules.calendar_of(next(iter(groups))))
    )
    if dates.unclear is not None:
        raise fault(raw.path, raw.line_of(dates.unclear[0]), dates.unclear[1])
    figures = parse_figures({column: raw.columns[column.position] for column in layout.columns}, raw.delimiter)
    if figures.mixed is not None:
        reason = "decimal commas and decimal points are mixed; write all figures with one of them"
        raise fault(raw.path, raw.line_of(figures.mixed), reason)
    adjustment, form = layout.adjustment, layout.form
    if adjustment is Adjustment.UNKNOWN and name.vendor == STOOQ:
        adjustment, form = Adjustment.TOTAL, STOOQ
    reader = _TableReader(raw, dates, figures)
    tables: dict[str, FileTable | SourceError] = {}
    for symbol, rows in groups.items():
        try:
            tables[symbol] = reader.table(symbol, rows)
        except SourceError as error:
            tables[symbol] = error
    notes = (*raw.notes, *dates.notes, *figures.notes, *reader.notes)
    return PriceFile(form, adjustment, tuple(dict.fromkeys(notes)), tables)


def _groups(raw: RawTable, name: FileName) -> dict[str, IntArray]:
    """Return the rows of each symbol."""
    everything = np.arange(raw.rows)
    if raw.layout.symbol is None:
        return dict.fromkeys(raw.layout.symbols or (_named(raw.path, name),), everything)
    column = raw.columns[raw.layout.symbol].cast(pa.string())
    codes = pc.fill_null(pc.utf8_trim_whitespace(column), "").dictionary_encode().combine_chunks()
    texts = codes.dictionary.to_pylist()
    places = codes.indices.to_numpy()
    groups: dict[str, list[IntArray]] = {}
    order = np.argsort(places, kind="stable")
    bounds = np.searchsorted(places[order], np.arange(len(texts) + 1))
    for code, text in enumerate(texts):
        rows = order[bounds[code] : bounds[code + 1]]
        symbol = normalise_symbol(text, raw.layout.vendor)
        if symbol:
            groups.setdefault(symbol, []).append(rows)
        elif text or not _is_blank(raw, rows):
            raise fault(
                raw.path, raw.line_of(int(rows[0])), f"{printable(text)[:40]!r} is not a symbol; repair the line"
            )
    return {symbol: np.sort(np.concatenate(parts)) for symbol, parts in groups.items()}


def _is_blank(raw: RawTable, rows: IntArray) -> bool:
    text = raw.columns[raw.layout.date].cast(pa.string()).take(pa.array(rows))
    return bool(pc.all(pc.equal(pc.fill_null(pc.utf8_trim_whitespace(text), ""), "")).as_py())


def _require_daily(raw: RawTable) -> None:
    if raw.layout.period is None:
        return
    for row, text in enumerate(raw.columns[raw.layout.period].cast(pa.string()).to_pylist()):
        if (text or "").strip().upper() not in _DAILY:
            raise fault(raw.path, raw.line_of(row), f"the period {text[:20]!r} is not D; daily rows are needed")


class _TableReader:
    """Builds the table of each symbol from the columns of a file."""

    def __init__(self, raw: RawTable, dates: Dates, figures: Figures) -> None:
        self._raw = raw
        self._dates = dates
        self._figures = figures
        self.notes: tuple[str, ...] = ()

    def table(self, symbol: str, rows: IntArray) -> FileTable:
        """Return the rows of a symbol, oldest first.

        Raises:
            NoData: It has none.
            Malformed: A cell is wrong, or the rows are not in order.
        """
        columns = {column.field: column for column in self._raw.layout.columns if column.symbol in ("", symbol)}
        figures = {field: self._figures.values[column][rows] for field, column in columns.items()}
        rows, figures = self._filled(rows, figures, columns)
        if len(rows) == 0:
            raise NoData(f"{printable(self._raw.path)}: the file holds no row of {symbol}; fill it or delete it")
        self._check(rows, columns)
        sessions = self._dates.days[rows]
        steps = np.diff(sessions).astype(np.int64)
        if len(steps) and bool((steps < 0).all()):
            self.notes = ("newest first",)
            rows, sessions = rows[::-1], sessions[::-1]
            figures = {field: values[::-1] for field, values in figures.items()}
        elif bool((steps <= 0).any()):
            raise self._unordered(rows, sessions, int(np.flatnonzero(steps <= 0)[0]) + 1)
        return self._build(sessions, figures)

    def _build(self, sessions: NDArray[np.datetime64], figures: dict[str, FloatArray]) -> FileTable:
        adjusted = figures.get("adj_close")
        if "close" not in figures and adjusted is not None:
            # Open, high and low are on another basis than the only closes.
            figures = {"close": adjusted, **{key: figures[key] for key in figures if key == "volume"}}
            adjusted = None
        absent = np.full(len(sessions), np.nan)
        bars = np.column_stack([figures.get(name, absent) for name in COLUMNS])
        has_adjusted = adjusted is not None and not bool(np.isnan(adjusted).all())
        actions = [None if key not in figures else figures[key].copy() for key in ("dividend", "split")]
        return FileTable(sessions.copy(), bars, adjusted if has_adjusted else None, *actions)

    def _filled(
        self, rows: IntArray, figures: dict[str, FloatArray], columns: dict[str, Column]
    ) -> tuple[IntArray, dict[str, FloatArray]]:
        """Leave out blank rows; where symbols share rows, those without a figure of this one."""
        blank: BoolArray = np.all([np.isnan(values) for values in figures.values()], axis=0)
        for column in columns.values():
            if column in self._figures.bad:
                blank &= ~self._figures.bad[column][rows]
        if len(self._raw.layout.symbols) < 2:
            blank = blank & self._dates.empty[rows]
        kept = ~blank
        return rows[kept], {field: values[kept] for field, values in figures.items()}

    def _check(self, rows: IntArray, columns: dict[str, Column]) -> None:
        """Raise for the first row with a wrong cell."""
        first = min(self._faults(rows, columns), default=None)
        if first is not None:
            raise fault(self._raw.path, self._raw.line_of(first[0]), first[1])

    def _faults(self, rows: IntArray, columns: dict[str, Column]) -> Iterator[tuple[int, str]]:
        """Yield the first row of each kind of fault, and its reason."""
        empty = rows[self._dates.empty[rows]]
        if len(empty):
            yield int(empty[0]), "date is empty; give every row a date"
        wrong = rows[self._dates.bad[rows]]
        if len(wrong):
            yield int(wrong[0]), self._dates.reason(int(wrong[0]))
        for field, column in columns.items():
            bad = self._figures.bad.get(column)
            if bad is not None and bool(bad[rows].any()):
                row = int(rows[bad[rows].argmax()])
                yield row, f"{field} {self._cell(column, row)!r} is not a number; repair the line"

    def _cell(self, column: Column, row: int) -> str:
        value: Any = self._raw.columns[column.position][row].as_py()
        return printable(value)[:40]

    def _unordered(self, rows: IntArray, sessions: NDArray[np.datetime64], at: int) -> Malformed:
        before, after = sessions[at - 1], sessions[at]
        what = f"date {after} is there twice" if before == after else f"date {after} comes after {before}"
        return fault(
            self._raw.path, self._raw.line_of(int(rows[at])), f"{what}; sort the rows by date, one row per date"
        )
