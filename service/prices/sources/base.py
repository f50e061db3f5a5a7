"""The port through which prices come in: one protocol, its values and its five errors."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Protocol

from service.errors import SourceError
from service.prices.adjustment.corporate_actions import Action, ActionKind

if TYPE_CHECKING:  # the read side handles actions and must not load pandas
    import pandas as pd


__all__ = [
    "Action",
    "ActionKind",
    "FetchedPrices",
    "InstrumentMeta",
    "Malformed",
    "NoData",
    "PriceSource",
    "RateLimited",
    "Record",
    "Transient",
    "UnknownSymbol",
]


class RateLimited(SourceError):
    """The vendor asks to slow down: stop the whole run, try the rest later."""


class Transient(SourceError):
    """A passing fault (time-out, cut body, 5xx): worth another try."""


class NoData(SourceError):
    """The symbol exists but has no bars in the window asked for."""


class UnknownSymbol(SourceError):
    """The source has no such symbol."""


class Malformed(SourceError):
    """The answer cannot be read; the sentence says where and why."""


@dataclass(frozen=True, slots=True)
class InstrumentMeta:
    """What the source says about a symbol; None where it says nothing.

    Attributes:
        name: Long name.
        exchange: The vendor's exchange code (`NMS`, `LSE`, ...), mapped by service/market/exchanges.py.
        calendar: Calendar name where the source knows it itself, else None.
        currency: ISO code as the source writes it (`USD`, `GBp`).
        instrument_type: Yahoo's word: EQUITY, ETF, INDEX, CURRENCY, CRYPTOCURRENCY, FUTURE.
    """

    name: str | None = None
    exchange: str | None = None
    calendar: str | None = None
    currency: str | None = None
    instrument_type: str = "EQUITY"


@dataclass(frozen=True, slots=True)
class FetchedPrices:
    """What a source answered for one symbol.

    Attributes:
        symbol: The symbol asked for.
        bars: Index `session` (tz-naive datetime64 at midnight, ascending, unique unless the vendor
            itself repeats rows), float64 columns `open, high, low, close, volume`. Prices and volumes
            are split-adjusted to the newest split visible at the instant asked for. A null bar stays
            a row of NaN: it is a hole, never a zero.
        actions: Actions visible at that instant with ex-dates in the window, ascending.
        meta: What the source says about the symbol.
    """

    symbol: str
    bars: "pd.DataFrame"
    actions: tuple[Action, ...]
    meta: InstrumentMeta = field(default_factory=InstrumentMeta)


@dataclass(frozen=True, slots=True)
class Record:
    """First and last session that a recorded source holds over all its symbols (both inclusive)."""

    first: date
    last: date


class PriceSource(Protocol):
    """Where prices come from."""

    @property
    def name(self) -> str:
        """`yahoo`, `sample` or `files:<absolute folder>`: the database's stamp."""
        ...

    @property
    def can_replay(self) -> bool:
        """Whether `fetch` can answer as of a past instant."""
        ...

    def fetch(self, symbol: str, start: date | None, at: datetime) -> FetchedPrices:
        """Bars and actions of one symbol as they stood at an instant.

        Args:
            symbol: Yahoo-style name.
            start: First session wanted (inclusive); None for the whole history.
            at: Aware UTC market time. A source that can replay serves only rows of sessions that had
                opened by then, and only actions whose ex-date had come.

        Raises:
            RateLimited, Transient, NoData, UnknownSymbol, Malformed: see their docstrings.
        """
        ...

    def symbols(self) -> tuple[str, ...]:
        """Symbols a recorded source holds, sorted; empty where the source is not a record."""
        ...

    def record(self) -> Record | None:
        """The span of a recorded source, None where the source is not a record."""
        ...

    def begin_run(self) -> None:
        """Called before each pull run: drop caches that could replay an old error."""
        ...
