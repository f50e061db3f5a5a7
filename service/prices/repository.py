"""Reading prices: bars with their adjustment, actions, and the newest sessions. The API reads through this too."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Select, func, select

from service.db.bulk.row_loader import days_array, floats_array, instants_array, read_columns
from service.db.tables import bars, corporate_actions
from service.prices.adjustment.adjust import adjustment_factors
from service.prices.adjustment.corporate_actions import Action, ActionKind

FloatArray = NDArray[np.float64]
DateArray = NDArray[np.datetime64]


@dataclass(frozen=True, slots=True)
class Bars:
    """Stored bars of one symbol, oldest first; sessions without a bar have no row.

    Attributes:
        symbol: Yahoo-style name.
        sessions: `(n,)` datetime64[D].
        open: `(n,)` split-adjusted, in the instrument's currency; NaN where the bar has none.
        high: as `open`.
        low: as `open`.
        close: as `open`, never NaN.
        volume: `(n,)` split-adjusted shares; NaN where the bar has none.
        factors: `(n,)` what a price is multiplied by to be adjusted for dividends and factors.
        revision: `(n,)` int64, raised at each correction.
        fetched_at: `(n,)` datetime64[s], UTC market time.
    """

    symbol: str
    sessions: DateArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    factors: FloatArray
    revision: NDArray[np.int64]
    fetched_at: DateArray

    def __len__(self) -> int:
        return len(self.sessions)

    @property
    def adjusted_close(self) -> FloatArray:
        """`(n,)` closes adjusted for splits, dividends and factors."""
        return self.close * self.factors

    def slice(self, start: int, stop: int) -> "Bars":
        """Rows `start` (inclusive) to `stop` (exclusive), sharing memory."""
        cut = slice(start, stop)
        return Bars(
            self.symbol, self.sessions[cut], self.open[cut], self.high[cut], self.low[cut], self.close[cut],
            self.volume[cut], self.factors[cut], self.revision[cut], self.fetched_at[cut],
        )  # fmt: skip


def _bars_query(symbol: str, first: date | None) -> Select[tuple[object, ...]]:
    names = ("session", "open", "high", "low", "close", "volume", "revision", "fetched_at")
    query: Select[tuple[object, ...]] = select(*(bars.c[name] for name in names)).where(bars.c.symbol == symbol)
    if first is not None:
        query = query.where(bars.c.session >= first)
    return query.order_by(bars.c.session)


def read_bars(
    connection: Connection, symbol: str, first: date | None = None, last: date | None = None, limit: int | None = None
) -> Bars:
    """Bars of one symbol.

    Args:
        connection: Any connection.
        symbol: Yahoo-style name.
        first: Oldest session wanted (inclusive); None = from the beginning.
        last: Newest session wanted (inclusive); None = to the end. The factors know every later action.
        limit: At most so many, the newest of them; None = all.
    """
    columns = read_columns(connection, _bars_query(symbol, first))
    sessions, close = days_array(columns[0]), floats_array(columns[4])
    found = Bars(
        symbol, sessions, floats_array(columns[1]), floats_array(columns[2]), floats_array(columns[3]), close,
        floats_array(columns[5]), adjustment_factors(sessions, close, read_actions(connection, symbol, first)),
        np.array(columns[6], np.int64), instants_array(columns[7]),
    )  # fmt: skip
    stop = len(found) if last is None else int(np.searchsorted(sessions, np.datetime64(last, "D"), side="right"))
    return found.slice(0 if limit is None else max(stop - limit, 0), stop)


def read_actions(
    connection: Connection, symbol: str, first: date | None = None, last: date | None = None
) -> tuple[Action, ...]:
    """Actions of one symbol with ex-dates from `first` to `last` (both inclusive), oldest first."""
    query = select(corporate_actions.c.ex_date, corporate_actions.c.kind, corporate_actions.c.value).where(
        corporate_actions.c.symbol == symbol
    )
    if first is not None:
        query = query.where(corporate_actions.c.ex_date >= first)
    if last is not None:
        query = query.where(corporate_actions.c.ex_date <= last)
    query = query.order_by(corporate_actions.c.ex_date, corporate_actions.c.kind)
    return tuple(Action(day, ActionKind(kind), value) for day, kind, value in connection.execute(query))


def read_actions_of(
    connection: Connection, symbols: Sequence[str], first: date | None = None
) -> dict[str, tuple[Action, ...]]:
    """Actions of several symbols from `first` (inclusive) on, oldest first; a symbol without any has none."""
    query = select(
        corporate_actions.c.symbol, corporate_actions.c.ex_date, corporate_actions.c.kind, corporate_actions.c.value
    )
    query = query.where(corporate_actions.c.symbol.in_(list(symbols)))
    if first is not None:
        query = query.where(corporate_actions.c.ex_date >= first)
    query = query.order_by(corporate_actions.c.symbol, corporate_actions.c.ex_date, corporate_actions.c.kind)
    found: dict[str, list[Action]] = {symbol: [] for symbol in symbols}
    for symbol, day, kind, value in connection.execute(query):
        found[symbol].append(Action(day, ActionKind(kind), value))
    return {symbol: tuple(listed) for symbol, listed in found.items()}


def newest_session(connection: Connection, symbols: Sequence[str]) -> dict[str, date]:
    """Session of the newest stored bar of each symbol; one without bars is left out."""
    query = (
        select(bars.c.symbol, func.max(bars.c.session)).where(bars.c.symbol.in_(list(symbols))).group_by(bars.c.symbol)
    )
    return {symbol: day for symbol, day in connection.execute(query)}


def has_bar(connection: Connection, symbol: str, session: date) -> bool:
    """Whether a bar is stored."""
    query = select(bars.c.session).where(bars.c.symbol == symbol, bars.c.session == session)
    return connection.execute(query).first() is not None
