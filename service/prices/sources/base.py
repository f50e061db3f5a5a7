"""The interface of price sources: a protocol, its values and its five errors."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Protocol

from service.errors import SourceError
from service.prices.adjustment.corporate_actions import Action, ActionKind

if TYPE_CHECKING:  # the read side uses actions and must not load pandas
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
    """The vendor limits the rate: the whole run stops and the rest is retried later."""


class Transient(SourceError):
    """A temporary fault (time-out, truncated body, 5xx) that a retry may pass."""


class NoData(SourceError):
    """The symbol exists but has no bars in the requested window."""


class UnknownSymbol(SourceError):
    """The source has no such symbol."""


class Malformed(SourceError):
    """The answer cannot be read; the message says where and why."""


@dataclass(frozen=True, slots=True)
class InstrumentMeta:
    """Metadata of a symbol; None where the source has none.

    Attributes:
        name: Long name.
        exchange: The vendor's exchange code (`NMS`, `LSE`, ...), mapped by `service.market.exchange_codes`.
        calendar: Calendar name if the source knows it, else None.
        calendar_stated: Whether the calendar is stated rather than a default; None if the source does not say.
        currency: Currency code as the source writes it (`USD`, `GBp`).
        instrument_type: Yahoo's type: EQUITY, ETF, INDEX, CURRENCY, CRYPTOCURRENCY, FUTURE.
        zone: Name of the exchange's time zone.
    """

    name: str | None = None
    exchange: str | None = None
    calendar: str | None = None
    currency: str | None = None
    instrument_type: str = "EQUITY"
    zone: str | None = None
    calendar_stated: bool | None = None


@dataclass(frozen=True, slots=True)
class FetchedPrices:
    """Answer of a source for one symbol.

    Attributes:
        symbol: The requested symbol.
        bars: Index `session` (tz-naive datetime64 at midnight, ascending, unique unless the vendor repeats rows),
            float64 columns `open, high, low, close, volume`. Prices and volumes are split-adjusted to the newest split
            visible at the requested instant. A null bar is a row of NaN, never of zeros.
        actions: Actions that are visible at that instant and have ex-dates in the window, ascending.
        meta: Metadata of the symbol.
        states_actions: Whether the source has actions of the symbol at all. If not, `actions` is empty and no stored
            action is withdrawn.
    """

    symbol: str
    bars: "pd.DataFrame"
    actions: tuple[Action, ...]
    meta: InstrumentMeta = field(default_factory=InstrumentMeta)
    states_actions: bool = True


@dataclass(frozen=True, slots=True)
class Record:
    """First and last session that a recorded source holds over all its symbols (both inclusive)."""

    first: date
    last: date


class PriceSource(Protocol):
    """A source of prices, live or recorded."""

    @property
    def name(self) -> str:
        """`yahoo`, `sample` or `files:<absolute folder>`; the database stores it in its stamp."""
        ...

    @property
    def can_replay(self) -> bool:
        """Whether `fetch` can answer as of a past instant."""
        ...

    def fetch(self, symbol: str, start: date | None, at: datetime) -> FetchedPrices:
        """Return the bars and actions of one symbol as they were at an instant.

        Args:
            symbol: Yahoo-style name.
            start: First session (inclusive); None = the whole history.
            at: Aware UTC market time. A source that can replay serves only rows of sessions that had
                opened by then, and only actions whose ex-date had been reached.

        Raises:
            RateLimited, Transient, NoData, UnknownSymbol, Malformed: see their docstrings.
        """
        ...

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols of a recorded source, sorted; empty for a live source."""
        ...

    def record(self) -> Record | None:
        """Return the span of a recorded source; None for a live source."""
        ...

    def faults(self) -> tuple[str, ...]:
        """Return why parts of a recorded source cannot be read, one sentence each; empty for a live source."""
        ...

    def begin_run(self) -> None:
        """Drop caches that could repeat an old error; each pull run calls it first."""
        ...
