"""Bars with adjusted closes."""

from datetime import date, datetime

from pydantic import Field

from service.api.common.schemas import Answer, Page


class PriceBar(Answer):
    """A session's bar as the vendor serves it, and its close adjusted for every action known now."""

    session: date = Field(examples=["2018-06-01"])
    open: float | None = Field(examples=[174.2])
    high: float | None = Field(examples=[175.9])
    low: float | None = Field(examples=[173.8])
    close: float = Field(description="split-adjusted to date", examples=[175.0])
    adjusted_close: float = Field(description="also adjusted for dividends", examples=[172.6])
    volume: float | None = Field(examples=[23250000.0])
    revision: int = Field(description="raised when the vendor corrected the bar", examples=[0])
    fetched_at: datetime = Field(description="market time")


class PricePage(Page):
    """Bars of a symbol, newest first."""

    symbol: str = Field(examples=["AAPL"])
    currency: str | None = Field(examples=["USD"])
    calendar: str = Field(examples=["XNYS"])
    basis: int = Field(description="raised when a split re-based the history", examples=[0])
    items: list[PriceBar]
