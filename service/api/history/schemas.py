"""Past forecasts with their outcomes."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from service.api.common.schemas import Answer, Mode, Page, Strategy
from service.api.forecasts.schemas import Interval, Quantiles


class Outcome(Answer):
    """Outcome of a forecast."""

    state: Literal["pending", "scored", "void"]
    reason: str | None = Field(None, description="why it is void, or pending after its target: `unresolved break: ...`")
    revision: int | None = Field(None, description="raised when a close was corrected", examples=[1])
    actual: float | None = Field(
        None, description="log return of the adjusted close, as_of to target", examples=[0.004]
    )
    actual_price: float | None = Field(
        None, description="close of the target session on the forecast's basis; null unless scored", examples=[175.7]
    )
    pinball: float | None = Field(None, description="mean over the quantiles, log return", examples=[0.0028])
    error: float | None = Field(None, description="actual less median, log return", examples=[0.0034])
    inside_50: bool | None = None
    inside_80: bool | None = None
    inside_95: bool | None = None
    scored_at: datetime | None = Field(None, description="market time")


class PastForecast(Answer):
    """One stored forecast of one step."""

    as_of: date = Field(examples=["2018-06-01"])
    step: int = Field(examples=[1])
    target_session: date = Field(examples=["2018-06-04"])
    strategy: Strategy
    model_version_id: int = Field(examples=[7])
    forecaster: str = Field(examples=["lstm"])
    served: bool = Field(description="whether this forecast was served")
    edition: int = Field(examples=[412])
    mode: Mode
    issued_at: datetime
    revision: int = Field(examples=[1])
    superseded: bool = Field(description="replaced by a later revision of the same as_of: not in any track record")
    basis: int = Field(examples=[0])
    last_close: float = Field(description="as_of's close when it was issued", examples=[175.0])
    point: float = Field(
        description="price at the median, on the forecast's basis; of a scored forecast on the closes of its score",
        examples=[175.1],
    )
    intervals: list[Interval] = Field(description="50, 80 and 95 %, in prices as `point`, and their log returns")
    quantiles: Quantiles
    outcome: Outcome


class HistoryPage(Page):
    """Past forecasts of a symbol, newest first."""

    symbol: str = Field(examples=["AAPL"])
    items: list[PastForecast]
