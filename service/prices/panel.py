"""Loads price histories for the forecasters: adjusted bars on the grid of their calendar, up to an instant.

Rows are read some thousands at a time: Python objects for a million bars would take ten times the memory of the arrays.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from models.preprocessing.price_history import Panel, PriceHistory
from service.db.bulk.row_loader import days_array, floats_array, instants_array, read_columns
from service.db.tables import bars, instruments, sessions
from service.errors import NotFound
from service.market.instruments import Instrument, list_instruments
from service.market.sessions import CLOSED, SettleOf
from service.prices.adjustment.adjust import adjustment_factors
from service.prices.adjustment.corporate_actions import Action
from service.prices.checks.row_checks import FIELDS, VOLUME, DateArray, FloatArray
from service.prices.repository import read_actions_of

_PART_ROWS = 5_000
"""Largest number of rows of one query: a few whole histories, or the newest sessions of dozens of symbols."""

_EPOCH = date(1970, 1, 1)
"""Day 0 of NumPy's datetime64."""


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """Which price histories to load, and up to when.

    Attributes:
        symbols: Symbols to load, in the order of the result.
        reference_symbols: Reference series; one without bars is left out of the panel, which masks it.
        until: Aware UTC market time: only sessions with close + settle <= until.
        settle: Calendar name -> settle delay; see `Settings.settle`.
        rows: Number of newest sessions of each calendar; None = from each symbol's first bar.
    """

    symbols: tuple[str, ...]
    reference_symbols: tuple[str, ...]
    until: datetime
    settle: SettleOf
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class _Grid:
    """Open sessions of a calendar and the instants at which their bars are final."""

    days: DateArray
    final_at: DateArray

    def since(self, first: np.datetime64) -> "_Grid":
        start = int(np.searchsorted(self.days, first))
        return _Grid(self.days[start:], self.final_at[start:])


@dataclass(frozen=True, slots=True)
class _Stored:
    """Bars of one symbol: `(n,)` sessions, `(n, 5)` values."""

    days: DateArray
    values: FloatArray


def load_panel(connection: Connection, query: PanelQuery) -> Panel:
    """Return the price histories of symbols and reference series as known at an instant.

    A history has a row for every open session of its calendar from the symbol's first bar (or of the newest
    `rows`) to the newest final one, NaN where no bar is stored. Prices are adjusted for the actions with
    ex-dates up to its last session. A symbol without bars has a history without rows.

    Raises:
        NotFound: a symbol is not in the database.
    """
    names = list(dict.fromkeys((*query.symbols, *query.reference_symbols)))
    known = {one.symbol: one for one in list_instruments(connection, names)}
    missing = [symbol for symbol in query.symbols if symbol not in known]
    if missing:
        raise NotFound(f"{', '.join(missing)}: not in the database; add with `tplus symbols add {' '.join(missing)}`")
    grids = {name: _grid(connection, name, query) for name in sorted({one.calendar for one in known.values()})}
    stored = _bars(connection, tuple(known.values()), grids)
    firsts = _first_sessions(connection, list(known)) if query.rows is not None else {}
    oldest = min((grid.days[0].astype(object) for grid in grids.values() if len(grid.days)), default=None)
    actions = read_actions_of(connection, list(known), oldest)
    frames = {
        symbol: _frame(one, grids[one.calendar], stored.get(symbol), firsts.get(symbol), actions[symbol])
        for symbol, one in known.items()
    }
    references = {
        symbol: frames[symbol] for symbol in query.reference_symbols if symbol in frames and len(frames[symbol])
    }
    return Panel(tuple(frames[symbol] for symbol in query.symbols), references)


def _grid(connection: Connection, calendar: str, query: PanelQuery) -> _Grid:
    settle = query.settle(calendar)
    chosen = (
        select(sessions.c.session, sessions.c.close_at)
        .where(sessions.c.calendar == calendar, sessions.c.state != CLOSED, sessions.c.close_at <= query.until - settle)
        .order_by(sessions.c.session.desc())
        .limit(query.rows)
    )
    days, closes = read_columns(connection, chosen)
    final_at = instants_array(closes)[::-1] + np.timedelta64(int(settle.total_seconds()), "s")
    return _Grid(days_array(days)[::-1], final_at)


def _bars(connection: Connection, known: Sequence[Instrument], grids: Mapping[str, _Grid]) -> dict[str, _Stored]:
    stored: dict[str, _Stored] = {}
    for name, grid in grids.items():
        if not len(grid.days):
            continue
        symbols = [one.symbol for one in known if one.calendar == name]
        size = max(1, _PART_ROWS // len(grid.days))
        for start in range(0, len(symbols), size):
            stored |= _part(connection, symbols[start : start + size], grid)
    return stored


def _part(connection: Connection, symbols: Sequence[str], grid: _Grid) -> dict[str, _Stored]:
    """Stored bars of a few symbols of one calendar; a symbol without bars is absent."""
    first, last = grid.days[0].astype(object), grid.days[-1].astype(object)
    # NumPy parses SQLite's text in one step; a `date` for every row of PostgreSQL would take as long as the rest.
    day = bars.c.session if connection.dialect.name == "sqlite" else bars.c.session - _EPOCH
    query = (
        select(bars.c.symbol, day, *(bars.c[name] for name in FIELDS))
        .where(bars.c.symbol.in_(symbols), bars.c.session.between(first, last))
        .order_by(bars.c.symbol, bars.c.session)
    )
    names, days, *columns = read_columns(connection, query)
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
    # One seek in the primary key for each symbol; min() with GROUP BY would read every bar.
    oldest = select(func.min(bars.c.session)).where(bars.c.symbol == instruments.c.symbol).scalar_subquery()
    query = select(instruments.c.symbol, oldest).where(instruments.c.symbol.in_(list(symbols)))
    return {symbol: np.datetime64(first, "D") for symbol, first in connection.execute(query) if first is not None}


def _frame(
    one: Instrument, grid: _Grid, stored: _Stored | None, first: np.datetime64 | None, actions: Sequence[Action]
) -> PriceHistory:
    if first is None:
        first = stored.days[0] if stored is not None else None
    own = grid.since(first) if first is not None else _Grid(grid.days[:0], grid.final_at[:0])
    values = np.full((len(own.days), len(FIELDS)), np.nan)
    if stored is not None and len(own.days):
        places = np.minimum(np.searchsorted(own.days, stored.days), len(own.days) - 1)
        on_grid = own.days[places] == stored.days
        values[places[on_grid]] = stored.values[on_grid]
        seen = tuple(action for action in actions if np.datetime64(action.ex_date, "D") <= own.days[-1])
        values[:, :VOLUME] *= _column(adjustment_factors(own.days, values[:, VOLUME - 1], seen))
    columns = np.ascontiguousarray(values.T)
    return PriceHistory(one.symbol, one.group, one.calendar, own.days, own.final_at, *columns)


def _column(factors: FloatArray) -> NDArray[np.float64]:
    return factors[:, None]
