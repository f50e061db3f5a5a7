"""A recorded price source: seeded random walks on real sessions, with splits, dividends and missing bars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np

from service.market.exchange_calendar import get_calendar
from service.prices.sources.base import Action, ActionKind, FetchedPrices, InstrumentMeta, Record, UnknownSymbol
from service.prices.sources.replay import RecordedSeries, recorded_series, replay


@dataclass(frozen=True)
class Walk:
    """A made-up symbol.

    Attributes:
        symbol: Yahoo-style name.
        first: First date; the record begins with the first session on or after it.
        last: Last date (inclusive).
        calendar: Calendar name.
        splits: New shares per old one, by ex-date.
        dividends: Cash per share on the basis of the record's end, by ex-date.
        holes: Sessions without a bar.
        seed: Seed of the walk.
        begin: Approximate first price.
        currency: As a vendor writes it.
        instrument_type: Yahoo's instrument type.
    """

    symbol: str
    first: date
    last: date
    calendar: str = "XNYS"
    splits: Mapping[date, float] = field(default_factory=dict)
    dividends: Mapping[date, float] = field(default_factory=dict)
    holes: frozenset[date] = frozenset()
    seed: int = 0
    begin: float = 50.0
    currency: str = "USD"
    instrument_type: str = "EQUITY"


class RecordedWalks:
    """A `PriceSource` that can replay; `errors` makes single symbols fail."""

    def __init__(self, walks: Sequence[Walk], name: str = "walks") -> None:
        self._name = name
        self._series = {walk.symbol: _series(walk) for walk in walks}
        self.errors: dict[str, Exception] = {}
        self.fetched: list[tuple[str, datetime]] = []

    def put(self, walk: Walk) -> None:
        """Add a symbol, or replace its record as served from now on."""
        self._series[walk.symbol] = _series(walk)

    @property
    def name(self) -> str:
        """The name in a database's stamp."""
        return self._name

    @property
    def can_replay(self) -> bool:
        """True: a record can be read as of any instant."""
        return True

    def fetch(self, symbol: str, start: date | None, at: datetime) -> FetchedPrices:
        """Return the record as of an instant."""
        self.fetched.append((symbol, at))
        if symbol in self.errors:
            raise self.errors[symbol]
        if symbol not in self._series:
            raise UnknownSymbol(f"{symbol}: no such symbol among {', '.join(self.symbols())}")
        return replay(self._series[symbol], start, at)

    def symbols(self) -> tuple[str, ...]:
        """Return every symbol, sorted."""
        return tuple(sorted(self._series))

    def record(self) -> Record:
        """Return the first and last session over all symbols."""
        spans = self._series.values()
        return Record(min(each.first for each in spans), max(each.last for each in spans))

    def faults(self) -> tuple[str, ...]:
        """Return nothing."""
        return ()

    def begin_run(self) -> None:
        """Do nothing: there is no cache."""


def _series(walk: Walk) -> RecordedSeries:
    table = get_calendar(walk.calendar, walk.first, walk.last).table(walk.first, walk.last)
    days = np.array([day for day in table.sessions if day.astype(object) not in walk.holes], "datetime64[D]")
    random = np.random.default_rng(walk.seed)
    close = walk.begin * np.exp(np.cumsum(random.normal(0, 0.015, len(days))))
    opened = close * np.exp(random.normal(0, 0.004, len(days)))
    high, low = np.maximum(opened, close) * 1.004, np.minimum(opened, close) * 0.996
    volume = np.exp(random.normal(14, 0.3, len(days)))
    splits = (Action(day, ActionKind.SPLIT, ratio) for day, ratio in walk.splits.items())
    dividends = (Action(day, ActionKind.DIVIDEND, cash) for day, cash in walk.dividends.items())
    meta = InstrumentMeta(f"{walk.symbol} made up", None, walk.calendar, walk.currency, walk.instrument_type)
    columns = np.column_stack([opened, high, low, close, volume])
    return recorded_series(walk.symbol, days, columns, (*splits, *dividends), meta)
