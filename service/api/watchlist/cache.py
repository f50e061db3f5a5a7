"""The short watchlist, cached in memory and updated when its cache key changes."""

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from service.api.answers.cache_key import CacheKey
from service.api.common.dependencies import Snapshot
from service.api.common.pagination import UNKNOWN_CURSOR
from service.api.common.queries import read_timing
from service.api.watchlist import queries as watchlist
from service.api.watchlist.lines import Line, read_lines
from service.api.watchlist.schemas import WatchlistItem
from service.errors import NotFound
from service.settings import Settings

SortBy = Literal["position", "symbol", "change", "width", "skill", "last_close"]
Order = Literal["asc", "desc"]

Place = tuple[int, float, str]
"""Position of a line: lines without a value last, then by value, then by symbol."""


@dataclass(frozen=True, slots=True)
class Sorting:
    """An order of the lines; those without a value come last both ways."""

    by: SortBy = "position"
    order: Order = "asc"

    @property
    def name(self) -> str:
        """Kind of the cursors: a cursor of another order is refused."""
        return f"watchlist {self.by} {self.order}"

    def sorted(self, lines: Sequence[Line]) -> tuple[Line, ...]:
        """Return lines, given by symbol, in this order."""
        if self.by == "symbol":
            return tuple(lines if self.order == "asc" else reversed(lines))
        return tuple(sorted(lines, key=self.place))

    def keys(self, line: Line) -> tuple[str, str]:
        """Return the cursor's keys for the last line of a page."""
        value = None if self.by == "symbol" else getattr(line, self.by)
        return "" if value is None else repr(float(value)), line.symbol

    def place(self, line: Line) -> Place:
        """Return the position of a line."""
        return self._place(*self.keys(line))

    def after(self, lines: Sequence[Line], keys: tuple[str, str] | None) -> Iterator[Line]:
        """Yield the lines after a page's last line; all without a previous page.

        Raises:
            NotFound: the keys were not made by `keys`.
        """
        if keys is None:
            return iter(lines)
        if self.by == "symbol":
            rising, last = self.order == "asc", keys[1]
            return (line for line in lines if (line.symbol > last if rising else line.symbol < last))
        end = self._place(*keys)
        return (line for line in lines if self.place(line) > end)

    def _place(self, value: str, symbol: str) -> Place:
        if value == "":
            return 1, 0.0, symbol
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise NotFound(UNKNOWN_CURSOR)
        return 0, number if self.order == "asc" else -number, symbol


@dataclass(frozen=True, slots=True)
class Watchlist:
    """The lines at one state of the database.

    Attributes:
        cache_key: That state.
        lines: By symbol.
        counters: Symbol -> its change counter.
        stale_after: (calendar, as_of) -> the instant after which a forecast as of that session is stale.
        missed: Symbol -> a session whose forecast was missed, and why.
    """

    cache_key: CacheKey
    lines: tuple[Line, ...]
    counters: Mapping[str, int]
    stale_after: Mapping[tuple[str, date], datetime | None]
    missed: Mapping[str, tuple[date, str]]
    _orders: dict[Sorting, tuple[Line, ...]] = field(default_factory=dict)

    def ordered(self, sorting: Sorting) -> tuple[Line, ...]:
        """Return all lines in an order, sorted once."""
        lines = self._orders.get(sorting)
        if lines is None:
            lines = self._orders[sorting] = sorting.sorted(self.lines)
        return lines

    def stale_after_of(self, line: Line) -> datetime | None:
        """Return the instant after which a line's forecast is stale; None = never."""
        return None if line.as_of is None else self.stale_after.get((line.row.calendar, line.as_of))

    def item(self, line: Line, now: datetime, closes: Sequence[float]) -> WatchlistItem:
        """Return a line with its last closes as an answer at an instant of market time."""
        return line.item(self.stale_after_of(line), now, self.missed.get(line.symbol), closes)


class WatchlistTable:
    """Caches the newest watchlist; thread-safe, one thread at a time updates it.

    Args:
        settings: Settle delays.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._newest: Watchlist | None = None

    def at(self, snapshot: Snapshot, cache_key: CacheKey) -> Watchlist:
        """Return the watchlist of a snapshot.

        Args:
            snapshot: The snapshot.
            cache_key: Cache key of the snapshot.
        """
        newest = self._newest
        if newest is not None and newest.cache_key == cache_key:
            return newest
        with self._lock:
            newest = self._newest
            if newest is None or newest.cache_key != cache_key:
                newest = self._newest = self._updated(snapshot, cache_key, newest)
            return newest

    def _updated(self, snapshot: Snapshot, cache_key: CacheKey, before: Watchlist | None) -> Watchlist:
        """Return the current watchlist, in which only changed symbols are read again.

        A pull changes symbols one by one.
        """
        connection = snapshot.connection
        if before is not None and before.cache_key.created_at != cache_key.created_at:
            before = None  # another database, whose counters may have the same values
        rows, counters = watchlist.read_active_instruments(connection), watchlist.read_symbol_counters(connection)
        old = {} if before is None else {line.symbol: line for line in before.lines}
        old_counters = {} if before is None else before.counters
        changed = [
            row
            for row in rows
            if row.symbol not in old
            or old[row.symbol].row != row
            or old_counters.get(row.symbol) != counters.get(row.symbol)
        ]
        new = read_lines(snapshot, changed)
        lines = tuple(new.get(row.symbol) or old[row.symbol] for row in rows)
        pairs = {(line.row.calendar, line.as_of) for line in lines if line.as_of is not None}
        stale_after = {pair: read_timing(connection, self._settings, *pair).stale_after for pair in sorted(pairs)}
        calendars = {row.calendar for row in rows}
        return Watchlist(
            cache_key, lines, counters, stale_after, watchlist.read_missed_forecasts(connection, calendars)
        )
