"""The watchlist with one short line per symbol."""

from datetime import date

from pydantic import Field

from service.api.common.schemas import Answer, Page


class WatchlistStep(Answer):
    """One step of the served multi-step forecast: prices on the forecast's basis."""

    step: int = Field(description="1, 2, 3", examples=[1])
    label: str = Field(examples=["T"])
    target_session: date = Field(examples=["2018-06-04"])
    point: float = Field(description="price at the median", examples=[175.1])
    lower_80: float = Field(examples=[171.2])
    upper_80: float = Field(examples=[178.9])
    change: float = Field(description="simple return, point over last_close less 1", examples=[0.0006])


class WatchlistSkill(Answer):
    """Skill of the published forecasts against the random walk, over all steps."""

    value: float | None = Field(
        description="1 - summed pinball / the random walk's; null while n is under 60", examples=[0.014]
    )
    n: int = Field(description="number of scored target sessions, at most 252", examples=[252])


class WatchlistCoverage(Answer):
    """Coverage of the 80 % interval, over all steps."""

    measured: float | None = Field(
        description="share of target sessions inside, 0 to 1; null while n is under 60", examples=[0.79]
    )
    n: int = Field(description="number of scored target sessions, at most 252", examples=[252])


class WatchlistItem(Answer):
    """A symbol of the watchlist with its newest forecast in short."""

    symbol: str = Field(examples=["AAPL"])
    name: str | None = Field(examples=["Apple Inc."])
    group: str = Field(examples=["equity"])
    calendar: str = Field(examples=["XNYS"])
    currency: str | None = Field(examples=["USD"])
    state: str = Field(description="new, ok, suspect, unknown or failing", examples=["ok"])
    state_reason: str | None = Field(None, description="problem of its data, in one sentence")
    last_session: date | None = Field(description="newest stored bar", examples=["2018-06-01"])
    as_of: date | None = Field(description="of its newest forecast; null without one", examples=["2018-06-01"])
    last_close: float | None = Field(description="as_of's close on the forecast's basis", examples=[175.0])
    stale: bool = Field(description="whether market time has passed the due time of its next forecast + 2 h")
    served_by: str | None = Field(description="forecaster of the served version", examples=["lstm"])
    steps: list[WatchlistStep] = Field(description="T, T+1, T+2; empty without a forecast")
    skill: WatchlistSkill
    coverage_80: WatchlistCoverage
    closes: list[float] = Field(
        description="closes of the last 30 sessions, oldest first, on the newest split basis", examples=[[174.2, 175.0]]
    )
    missed: str | None = Field(None, description="why its newest session has no forecast, in one sentence")


class WatchlistPage(Page):
    """Lines of the watchlist in the requested order; lines without a value come last."""

    items: list[WatchlistItem]
    total: int = Field(description="symbols on the watchlist", examples=[51])
    matching: int = Field(description="of those, how many match `q`", examples=[51])
