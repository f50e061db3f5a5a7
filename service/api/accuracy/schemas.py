"""Track records."""

from datetime import date

from pydantic import Field

from service.api.common.schemas import Answer, Page

SURVIVORSHIP_NOTE = (
    "These figures cover the symbols on the watchlist. They were chosen knowing which companies still exist: "
    "failures and delistings are under-represented, so expect a little less elsewhere. Forecasts whose session "
    "has no bar are void and not counted."
)


class AccuracyItem(Answer):
    """The track record of one forecaster, or of the published forecasts, over the last scored sessions."""

    scope_kind: str = Field(description="symbol or group", examples=["symbol"])
    scope: str = Field(examples=["AAPL"])
    strategy: str = Field(examples=["multi_step"])
    step: int = Field(examples=[1])
    forecaster: str = Field(description="served, or a network or baseline", examples=["served"])
    mode: str = Field(description="live, replay or backfill; never mixed", examples=["live"])
    as_of: date = Field(description="newest scored target session", examples=["2018-06-01"])
    n: int = Field(examples=[252])
    pinball: float = Field(description="mean, log return", examples=[0.00275])
    random_walk_pinball: float | None = Field(description="mean on the same forecasts", examples=[0.0028])
    skill: float | None = Field(description="1 - pinball / the random walk's; null under 60", examples=[0.018])
    coverage_50: float = Field(description="share inside, 0 to 1", examples=[0.51])
    coverage_80: float = Field(examples=[0.79])
    coverage_95: float = Field(examples=[0.94])
    mae: float = Field(description="of the median, log return", examples=[0.0101])
    p: float | None = Field(description="Diebold-Mariano against the random walk, two-sided", examples=[0.04])


class AccuracyPage(Page):
    """Track records, in the order of their start."""

    note: str = Field(SURVIVORSHIP_NOTE, description="on survivorship")
    items: list[AccuracyItem]
