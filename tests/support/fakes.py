"""A fake price source, and a database around it, for tests of the pull."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd

from service.db.session import Database
from service.market.exchange_calendar import get_calendar
from service.market.instruments import Instrument, add_symbols, list_instruments
from service.prices.pull.fetcher import PullContext, PullOutcome, pull_symbols
from service.prices.sources.base import Action, FetchedPrices, InstrumentMeta, NoData, Record, UnknownSymbol
from service.settings import Settings

JANUARY: tuple[date, ...] = tuple(
    date(2024, 1, day) for day in (2, 3, 4, 5, 8, 9, 10, 11, 12, 16, 17, 18, 19, 22, 23, 24, 25, 26, 29, 30, 31)
)
"""The sessions of XNYS in January 2024: no New Year's Day, no 15th (Martin Luther King)."""

NEW_YORK = InstrumentMeta(name="A company", exchange="NMS", currency="USD", instrument_type="EQUITY")


def bars_frame(
    sessions: Sequence[date], closes: Sequence[float], changes: Mapping[tuple[int, str], float] | None = None
) -> pd.DataFrame:
    """Return bars: open = close, high 1 % above, low 1 % below, volume 1000; `changes` sets single figures."""
    close = np.array(closes, np.float64)
    columns = {"open": close.copy(), "high": close * 1.01, "low": close * 0.99, "close": close}
    columns["volume"] = np.full(len(close), 1000.0)
    for (row, name), value in (changes or {}).items():
        columns[name][row] = value
    return pd.DataFrame(columns, index=pd.DatetimeIndex(list(sessions)))


@dataclass
class FakeSource:
    """Serves the series of a test; a symbol may have an error instead. Serves no session after `at`'s date."""

    name: str = "fake"
    can_replay: bool = True
    bars: dict[str, pd.DataFrame] = field(default_factory=dict)
    actions: dict[str, tuple[Action, ...]] = field(default_factory=dict)
    metas: dict[str, InstrumentMeta] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)
    asked: list[tuple[str, date | None]] = field(default_factory=list)
    runs: int = 0

    def fetch(self, symbol: str, start: date | None, at: datetime) -> FetchedPrices:
        """Return the stored series from `start` on."""
        self.asked.append((symbol, start))
        if symbol in self.errors:
            raise self.errors[symbol]
        if symbol not in self.bars:
            raise UnknownSymbol(f"{symbol}: no such symbol")
        frame = self.bars[symbol]
        chosen = frame[frame.index <= pd.Timestamp(at.date())]
        listed = [action for action in self.actions.get(symbol, ()) if action.ex_date <= at.date()]
        if start is not None:
            chosen = chosen[chosen.index >= pd.Timestamp(start)]
            listed = [action for action in listed if action.ex_date >= start]
            if len(chosen) == 0:
                raise NoData(f"{symbol}: no bars from {start} on")
        return FetchedPrices(symbol, chosen, tuple(listed), self.metas.get(symbol, NEW_YORK))

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols, sorted."""
        return tuple(sorted(self.bars))

    def record(self) -> Record | None:
        """Return None: there is no record."""
        return None

    def faults(self) -> tuple[str, ...]:
        """Return nothing."""
        return ()

    def begin_run(self) -> None:
        """Count the runs."""
        self.runs += 1


@dataclass
class World:
    """A database, a fake source and the pull between them."""

    database: Database
    source: FakeSource
    settings: Settings
    volatility: frozenset[str] = frozenset()

    def pull(self, session: date, *symbols: str, at: datetime | None = None) -> dict[str, PullOutcome]:
        """Pull at 23:00 UTC of the session, half an hour after XNYS settles; returns the outcomes in order."""
        moment = evening(session) if at is None else at
        context = PullContext(self.database, self.source, self.settings, get_calendar, self.volatility)
        instruments = self.instruments(*(symbols or self.source.symbols()))
        return {outcome.symbol: outcome for outcome in pull_symbols(context, instruments, session, moment)}

    def instruments(self, *symbols: str) -> tuple[Instrument, ...]:
        """Return the instruments in the given order; new ones are added."""
        with self.database.transaction() as connection:
            add_symbols(connection, symbols, datetime(2024, 1, 1, tzinfo=UTC), self.settings.group_of)
            found = {one.symbol: one for one in list_instruments(connection, symbols)}
        return tuple(found[symbol] for symbol in symbols)


def evening(session: date) -> datetime:
    """Return 23:00 UTC of a date."""
    return datetime(session.year, session.month, session.day, 23, tzinfo=UTC)
