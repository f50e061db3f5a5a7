"""A figure with its text alternative, table and readout."""

from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field

from service.api.common.schemas import Answer

FigureKind = Literal["forecast", "versus", "skill"]
FigureRange = Literal["1m", "3m", "6m", "1y", "5y", "all"]


class FigureTable(Answer):
    """The figure as a table."""

    caption: str = Field(examples=["AAPL: forecast as of 2018-06-01, prices in USD"])
    columns: list[str] = Field(examples=[["session", "step", "median"]])
    rows: list[list[str | float | None]] = Field(
        description="as many cells a row as there are columns; prices and percentages as text",
        examples=[[["2018-06-04", "T", "175.10"]]],
    )


class ReadoutLine(Answer):
    """The readout at one position of the figure."""

    x: float = Field(description="position on the index axis: a slot, or a step", examples=[62])
    text: str = Field(examples=["2018-06-04 · T · 175.10 USD (+0.1 %), 80 % 171.20 to 178.90"])


class PlotlyFigure(Answer):
    """A Plotly figure; `meta.role` of a trace names its part."""

    data: list[dict[str, Any]] = Field(examples=[[{"type": "candlestick", "meta": {"role": "candles"}}]])
    layout: dict[str, Any] = Field(examples=[{"xaxis": {"range": [-0.7, 83.5]}}])
    config: dict[str, Any] = Field(examples=[{"displayModeBar": False}])


class FigureAnswer(Answer):
    """A figure with its texts."""

    symbol: str = Field(examples=["AAPL"])
    kind: FigureKind = Field(examples=["forecast"])
    title: str = Field(examples=["AAPL: forecast as of 2018-06-01"])
    caption: str = Field(
        description="what has been measured, with n",
        examples=["The 80 % interval of T contained the close on 79 % of sessions (n = 252)."],
    )
    alt: str = Field(description="text alternative: what the figure shows")
    table: FigureTable
    readout: list[ReadoutLine] = Field(description="a line for each position, by x")
    figure: PlotlyFigure
    empty: bool = Field(description="whether there is nothing to draw yet; the caption says why", examples=[False])
    as_of: date = Field(description="last completed session the forecast used", examples=["2018-06-01"])
    edition: int = Field(description="number of the edition shown", examples=[412])
    stale_after: datetime | None = Field(description="due time of the next forecast + 2 h, exclusive")
