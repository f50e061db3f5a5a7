"""The port through which prices come in: one protocol, its values and its five errors."""

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

import pandas as pd

from service.errors import SourceError


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


class ActionKind(StrEnum):
    """Kinds of corporate action.

    `dividend`: cash per share, on the basis the source serves. `split`: new shares per old share
    (2.0 halves the price). `factor`: what all earlier closes are multiplied by to adjust them for
    an action whose parts are unknown (0.99 for a 1 % dividend).
    """

    DIVIDEND = "dividend"
    SPLIT = "split"
    FACTOR = "factor"


@dataclass(frozen=True, slots=True)
class Action:
    """A corporate action. `ex_date`: first session that trades without it."""

    ex_date: date
    kind: ActionKind
    value: float


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
class PriceHistory:
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
    bars: pd.DataFrame
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

    def fetch(self, symbol: str, start: date | None, at: datetime) -> PriceHistory:
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
