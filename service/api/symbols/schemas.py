"""The watchlist and the reference series."""

from datetime import date, datetime

from pydantic import Field

from service.api.common.schemas import Answer, Page


class SymbolItem(Answer):
    """An instrument."""

    symbol: str = Field(examples=["AAPL"])
    name: str | None = Field(examples=["Apple Inc."])
    instrument_type: str = Field(examples=["EQUITY"])
    group: str = Field(examples=["equity"])
    calendar: str = Field(examples=["XNYS"])
    currency: str | None = Field(examples=["USD"])
    active: bool = Field(description="on the watchlist: forecast and scored")
    reference: bool = Field(description="pulled always, used as an input")
    basis: int = Field(examples=[0])
    state: str = Field(description="new, ok, suspect, unknown or failing", examples=["ok"])
    state_reason: str | None = None
    state_since: datetime = Field(description="market time")
    added_at: datetime = Field(description="market time")
    first_session: date | None = Field(examples=["2000-01-03"])
    last_session: date | None = Field(examples=["2018-06-01"])


class SymbolPage(Page):
    """Instruments, by symbol."""

    items: list[SymbolItem]
