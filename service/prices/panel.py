"""Loads price histories for the forecasters: adjusted bars of every session of their calendar, up to an instant.

Many rows are read as Arrow batches. By the driver some thousand are read at a time: Python objects for a million bars
would take ten times the memory of the arrays.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Select, func, literal, select

from models.preprocessing.price_history import Panel, PriceHistory
from service.db.bulk.arrow_reader import pays_by_arrow, read_arrow
from service.db.bulk.row_loader import days_array, floats_array, instants_array, read_columns
from service.db.tables import bars, instruments, sessions
from service.errors import NotFound
from service.market.instruments import Instrument, list_instruments
from service.prices.adjustment.adjust import adjustment_factors
from service.prices.adjustment.corporate_actions import Action
from service.prices.checks.row_checks import CLOSE, FIELDS, VOLUME, DateArray, FloatArray
from service.prices.quarantine.breaks import find_breaks
from service.prices.repository import read_adjustments
from service.vocabulary import SessionState

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 5_000
"""Most rows of one query: a few whole histories, or the newest sessions of dozens of symbols."""

_UNKNOWN = -1.0
"""Replaces a figure that is null; prices and volumes are never negative."""

_EPOCH = date(1970, 1, 1)
"""Day 0 of NumPy's datetime64."""


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """Selects the price histories to load, and the instant up to which.

    Attributes:
        symbols: Symbols to load, in the order of the result.
        reference_symbols: Reference series; the panel leaves out one without bars, so its inputs are missing.
        until: Aware UTC market time: only sessions with close + settle <= until.
        settle: Calendar name -> how long after its close a bar is final; see `Settings.settle`.
        rows: Number of newest sessions of each calendar; None = from each symbol's first bar.
    """

    symbols: tuple[str, ...]
    reference_symbols: tuple[str, ...]
    until: datetime
    settle: Callable[[str], timedelta]
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class _Grid:
    """The open sessions of a calendar, with the instants at which their bars are final."""

    days: DateArray
    final_at: DateArray

    def since(self, first: np.datetime64) -> "_Grid":
        start = int(np.searchsorted(self.days, first))
        return _Grid(self.days[start:], self.final_at[start:])


@dataclass(frozen=True, slots=True)
class _Stored:
    """The bars of one symbol: `(n,)` sessions, `(n, 5)` values."""

    days: DateArray
    values: FloatArray


_Build = Callable[[str, _Stored | None], PriceHistory]


def load_panel(connection: Connection, query: PanelQuery) -> Panel:
    """Return the price histories of symbols and reference series as known at an instant.

    A history has a row for every open session of its calendar from the symbol's first bar (or of the newest `rows`) to
    the newest final one; the row is NaN where no bar is stored. A session whose bar is held back is a break if the
    closes before and after it are on different levels. Prices are adjusted for the actions with
    ex-dates up to its last session. A symbol without bars has a history without rows.

    Raises:
        NotFound: a symbol is not in the database.
    """
    names = list(dict.fromkeys((*query.symbols, *query.reference_symbols)))
    found = {instrument.symbol: instrument for instrument in list_instruments(connection, names)}
    missing = [symbol for symbol in query.symbols if symbol not in found]
    if missing:
        raise NotFound(f"{', '.join(missing)}: not in the database; add with `tplus symbols add {' '.join(missing)}`")
    grids = {
        name: _grid(connection, name, query) for name in sorted({instrument.calendar for instrument in found.values()})
    }
    firsts = _first_sessions(connection, list(found)) if query.rows is not None else {}
    oldest = min((grid.days[0].astype(object) for grid in grids.values() if len(grid.days)), default=None)
    adjustments = read_adjustments(connection, list(found), oldest)

    def build(symbol: str, stored: _Stored | None) -> PriceHistory:
        instrument, adjustment = found[symbol], adjustments[symbol]
        grid = grids[instrument.calendar]
        history = _price_history(instrument, grid, stored, firsts.get(symbol), adjustment.actions)
        return _with_breaks(history, adjustment.held)

    histories = _histories(connection, tuple(found.values()), grids, build)
    histories |= {symbol: build(symbol, None) for symbol in found if symbol not in histories}
    references = {
        symbol: histories[symbol]
        for symbol in query.reference_symbols
        if symbol in histories and len(histories[symbol])
    }
    return Panel(tuple(histories[symbol] for symbol in query.symbols), references)


def _grid(connection: Connection, calendar: str, query: PanelQuery) -> _Grid:
    settle = query.settle(calendar)
    chosen = (
        select(sessions.c.session, sessions.c.close_at)
        .where(
            sessions.c.calendar == calendar,
            sessions.c.state != SessionState.CLOSED,
            sessions.c.close_at <= query.until - settle,
        )
        .order_by(sessions.c.session.desc())
        .limit(query.rows)
    )
    days, closes = read_columns(connection, chosen)
    final_at = instants_array(closes)[::-1] + np.timedelta64(int(settle.total_seconds()), "s")
    return _Grid(days_array(days)[::-1], final_at)


def _histories(
    connection: Connection, listed: Sequence[Instrument], grids: Mapping[str, _Grid], build: _Build
) -> dict[str, PriceHistory]:
    """Return the histories of the symbols that have bars.

    Each is built as soon as its bars have arrived: in the meantime the database sends the next ones.
    """
    histories: dict[str, PriceHistory] = {}

    def take(batches: Iterator["pa.RecordBatch"]) -> dict[str, PriceHistory]:
        return {symbol: build(symbol, stored) for symbol, stored in _of_batches(batches)}

    for name, grid in grids.items():
        if not len(grid.days):
            continue
        symbols = [each.symbol for each in listed if each.calendar == name]
        if pays_by_arrow(connection, len(symbols) * len(grid.days)):
            found = read_arrow(connection, _query(symbols, grid, default=_UNKNOWN), take)
            if found is not None:
                histories |= found
                continue
        size = max(1, _BATCH_ROWS // len(grid.days))
        for start in range(0, len(symbols), size):
            rows = _read_rows(connection, symbols[start : start + size], grid)
            histories |= {symbol: build(symbol, stored) for symbol, stored in rows.items()}
    return histories


def _query(symbols: Sequence[str], grid: _Grid, *, days: Any = bars.c.session, default: float | None) -> Select[Any]:
    """Select the bars of symbols of one calendar, in the order of the primary key.

    Args:
        symbols: The symbols.
        grid: Their sessions.
        days: Expression of the session.
        default: Value of an unknown figure, None = null.
    """
    first, last = grid.days[0].astype(object), grid.days[-1].astype(object)
    figures: list[ColumnElement[Any]] = [bars.c[name] for name in FIELDS]
    if default is not None:
        figures = [
            func.coalesce(each, literal(default)).label(each.name) if each.nullable else each for each in figures
        ]
    chosen = bars.c.symbol.in_(symbols), bars.c.session.between(first, last)
    return select(bars.c.symbol, days, *figures).where(*chosen).order_by(bars.c.symbol, bars.c.session)


def _of_batches(batches: Iterator["pa.RecordBatch"]) -> Iterator[tuple[str, _Stored]]:
    """Yield each symbol with its stored bars, from batches ordered by symbol; a symbol without bars is absent."""
    import pyarrow as pa
    import pyarrow.compute as pc

    current, parts = "", list[_Stored]()
    for batch in batches:
        if not len(batch):
            continue
        days = batch.column(1).cast(pa.date32()).to_numpy(zero_copy_only=False).astype("datetime64[D]")
        values = np.column_stack([batch.column(place).to_numpy() for place in range(2, 2 + len(FIELDS))])
        values[values == _UNKNOWN] = np.nan
        runs = pc.run_end_encode(batch.column(0))
        stops = [0, *runs.run_ends.to_pylist()]
        for symbol, (start, stop) in zip(runs.values.to_pylist(), pairwise(stops), strict=True):
            if symbol != current and parts:
                yield current, _joined(parts)
                parts = []
            current = symbol
            parts.append(_Stored(days[start:stop], values[start:stop]))
    if parts:
        yield current, _joined(parts)


def _joined(parts: Sequence[_Stored]) -> _Stored:
    if len(parts) == 1:
        return parts[0]
    return _Stored(np.concatenate([part.days for part in parts]), np.concatenate([part.values for part in parts]))


def _read_rows(connection: Connection, symbols: Sequence[str], grid: _Grid) -> dict[str, _Stored]:
    """Return the stored bars of a few symbols of one calendar; a symbol without bars is absent."""
    # NumPy parses SQLite's text in one step; a `date` for each row of PostgreSQL would take as long as all other steps.
    day = bars.c.session if connection.dialect.name == "sqlite" else bars.c.session - _EPOCH
    names, days, *columns = read_columns(connection, _query(symbols, grid, days=day, default=None))
    if not names:
        return {}
    return _split_by_symbol(
        names, np.array(days, "datetime64[D]"), np.column_stack([floats_array(column) for column in columns])
    )


def _split_by_symbol(names: Sequence[object], days: DateArray, values: FloatArray) -> dict[str, _Stored]:
    # The rows of a symbol are adjacent, and a Counter keeps insertion order.
    counts = Counter(names)
    stops = np.cumsum([0, *counts.values()]).tolist()
    return {
        str(symbol): _Stored(days[start:stop], values[start:stop])
        for symbol, (start, stop) in zip(counts, pairwise(stops), strict=True)
    }


def _first_sessions(connection: Connection, symbols: Sequence[str]) -> dict[str, np.datetime64]:
    # One search in the primary key for each symbol; min() with GROUP BY would read every bar.
    oldest = select(func.min(bars.c.session)).where(bars.c.symbol == instruments.c.symbol).scalar_subquery()
    query = select(instruments.c.symbol, oldest).where(instruments.c.symbol.in_(list(symbols)))
    return {symbol: np.datetime64(first, "D") for symbol, first in connection.execute(query) if first is not None}


def _price_history(
    instrument: Instrument, grid: _Grid, stored: _Stored | None, first: np.datetime64 | None, actions: Sequence[Action]
) -> PriceHistory:
    if first is None:
        first = stored.days[0] if stored is not None else None
    own = grid.since(first) if first is not None else _Grid(grid.days[:0], grid.final_at[:0])
    values = np.full((len(own.days), len(FIELDS)), np.nan)
    if stored is not None and len(own.days):
        places = np.minimum(np.searchsorted(own.days, stored.days), len(own.days) - 1)
        on_grid = own.days[places] == stored.days
        values[places[on_grid]] = stored.values[on_grid]
        visible = tuple(action for action in actions if np.datetime64(action.ex_date, "D") <= own.days[-1])
        values[:, :VOLUME] *= adjustment_factors(own.days, values[:, CLOSE], visible)[:, None]
    columns = np.ascontiguousarray(values.T)
    return PriceHistory(instrument.symbol, instrument.group, instrument.calendar, own.days, own.final_at, *columns)


def _with_breaks(history: PriceHistory, held: Sequence[date]) -> PriceHistory:
    if not held or not len(history):
        return history
    days = np.array(held, "datetime64[D]")
    inside = days[(days >= history.sessions[0]) & (days <= history.sessions[-1])]
    return replace(history, breaks=find_breaks(history.sessions, history.close, inside))
