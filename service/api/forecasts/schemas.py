"""A forecast answer: prices and intervals at T, T+1, T+2, the forecaster, and its track record."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from service.api.common.schemas import Answer, Mode, Page, Strategy

LABELS: tuple[str, ...] = ("T", "T+1", "T+2")
"""Names of the steps, step 1 first."""

MIN_SESSIONS = 60
"""Scored sessions below which skill and measured coverage are null."""


class Quantiles(Answer):
    """Calibrated quantiles of the cumulative log return of the adjusted close, as_of to the target session."""

    q025: float = Field(examples=[-0.0391])
    q10: float = Field(examples=[-0.0216])
    q25: float = Field(examples=[-0.0094])
    q50: float = Field(examples=[0.0006])
    q75: float = Field(examples=[0.0107])
    q90: float = Field(examples=[0.0223])
    q975: float = Field(examples=[0.0389])


class Interval(Answer):
    """A central interval: prices on the forecast's basis, and their log returns."""

    level: int = Field(description="nominal level, percent", examples=[80])
    lower: float = Field(examples=[171.2])
    upper: float = Field(examples=[178.9])
    lower_return: float = Field(examples=[-0.0216])
    upper_return: float = Field(examples=[0.0223])


class Skill(Answer):
    """Skill against the random walk on the same forecasts."""

    value: float | None = Field(
        description="1 - summed pinball / the random walk's; null while n is under 60", examples=[0.014]
    )
    n: int = Field(description="number of scored target sessions, at most 252", examples=[252])
    kind: Mode = Field(description="mode of the forecasts")
    as_of: date | None = Field(description="newest scored target session", examples=["2018-06-01"])
    p: float | None = Field(
        None,
        description="Diebold-Mariano against the random walk, two-sided; over several steps the largest; "
        "null if value is, or if one step has none",
        examples=[0.04],
    )


class LevelHeld(Answer):
    """Measured coverage of one interval."""

    level: int = Field(description="nominal level, percent", examples=[80])
    measured: float | None = Field(
        description="share of target sessions inside, 0 to 1; null while n is under 60", examples=[0.79]
    )


class Coverage(Answer):
    """Measured coverage of the nominal levels."""

    n: int = Field(description="number of scored target sessions", examples=[252])
    levels: list[LevelHeld]


class HeldOut(Answer):
    """Figures from the version's test span, before it served: not a track record."""

    label: Literal["held out before serving, no track record"] = "held out before serving, no track record"
    n: int | None = Field(description="number of forecasts in the test span", examples=[12600])
    pinball: float | None = Field(description="basis points", examples=[38.5])
    random_walk_pinball: float | None = Field(description="basis points", examples=[39.1])
    skill: float | None = Field(examples=[0.015])
    coverage_50: float | None = Field(None, examples=[0.5])
    coverage_80: float | None = Field(None, examples=[0.797])
    coverage_95: float | None = Field(None, examples=[0.941])


class Step(Answer):
    """One step of a forecast."""

    step: int = Field(description="1, 2, 3", examples=[1])
    label: str = Field(examples=["T"])
    target_session: date = Field(examples=["2018-06-04"])
    point: float = Field(description="price at the median, on the forecast's basis", examples=[175.1])
    median: float = Field(description="log return", examples=[0.0006])
    quantiles: Quantiles
    raw: Quantiles = Field(description="the quantiles as forecast, before calibration")
    intervals: list[Interval] = Field(description="50, 80 and 95 %")
    dividends: float = Field(
        description="known dividends, ex after as_of up to and including target_session, subtracted from the prices",
        examples=[0.0],
    )
    degraded: list[str] = Field(description="inputs this version was trained with that were missing")
    skill: Skill = Field(description="of this step alone")
    coverage: Coverage = Field(description="of this step alone")


class JointStep(Answer):
    """A step of the joint band: prices on the forecast's basis, and their log returns."""

    step: int = Field(description="1, 2, 3", examples=[1])
    label: str = Field(examples=["T"])
    target_session: date = Field(examples=["2018-06-04"])
    lower: float = Field(examples=[170.1])
    upper: float = Field(examples=[180.2])
    lower_return: float = Field(examples=[-0.0284])
    upper_return: float = Field(examples=[0.0293])


class JointLevel(Answer):
    """The band of one level."""

    level: int = Field(description="nominal level, percent, for all steps together", examples=[80])
    measured: float | None = Field(
        description="share of forecasts with all steps inside, 0 to 1; null while n is under 60",
        examples=[0.79],
    )
    steps: list[JointStep]


class JointBand(Answer):
    """A band for T, T+1 and T+2 together: wider than the intervals, which are per step."""

    n: int = Field(
        description="number of measured sessions, at most 252, over all symbols of the forecaster and the calendar",
        examples=[252],
    )
    levels: list[JointLevel] = Field(description="50, 80 and 95 %")


class Version(Answer):
    """The version that made a forecast."""

    model_version_id: int = Field(examples=[7])
    forecaster: str = Field(examples=["lstm"])
    status: str = Field(description="status now: champion, challenger, retired or rejected", examples=["champion"])
    trained_at: datetime = Field(description="market time: the cut of its data; of a baseline, when it was recorded")


class ServedBy(Version):
    """The version that was served, and why."""

    reason: str = Field(examples=["champion of its group"])


class StrategyForecast(Answer):
    """The published forecast of one strategy, with its track record."""

    served_by: ServedBy
    steps: list[Step]
    skill: Skill = Field(description="over all steps; n is the least of the steps'")
    coverage: Coverage = Field(description="over all steps; n is the least of the steps'")
    joint: JointBand | None = Field(description="null for a single step")
    held_out: HeldOut | None = Field(description="shown separately while the track record is under 60 sessions")


class OtherForecast(Version):
    """The forecast of another forecaster of the same edition, with its track record."""

    strategy: Strategy
    steps: list[Step]
    skill: Skill
    coverage: Coverage
    joint: JointBand | None = Field(description="null for a single step")


class Disagreement(Answer):
    """Difference of the one-step and the multi-step forecast of the same T: a hint at the effect of a seed."""

    target_session: date = Field(examples=["2018-06-04"])
    median: float = Field(description="one-step less multi-step, log return", examples=[0.0002])
    in_widths: float | None = Field(
        description="the same in units of the multi-step forecast's 80 % interval; null if that has no width",
        examples=[0.005],
    )
    width_ratio: float | None = Field(
        description="one-step 80 % interval over the multi-step one; null if that has no width", examples=[0.98]
    )


class Basis(Answer):
    """The split basis of the prices of this answer."""

    forecast: int = Field(description="basis of last_close and of every price here", examples=[0])
    current: int = Field(description="the symbol's basis now", examples=[0])
    split_ratio: float = Field(description="new shares per share since; divide by it for today's basis", examples=[1.0])
    note: str | None = Field(None, description="given if the two differ")


class EditionMark(Answer):
    """The edition of a forecast."""

    number: int = Field(examples=[412])
    hash: str = Field(examples=["9f2c0c4d"])


class ForecastAnswer(Answer):
    """The forecast of one symbol."""

    symbol: str = Field(examples=["AAPL"])
    currency: str | None = Field(examples=["USD"])
    calendar: str = Field(examples=["XNYS"])
    time_zone: str = Field(description="IANA time zone of the calendar", examples=["America/New_York"])
    approximate: bool = Field(
        description="whether the calendar is assumed: its usual week without holidays around as_of, a default that no "
        "source stated, or one that fits the rows better than the stated one"
    )
    group: str = Field(examples=["equity"])
    as_of: date = Field(description="last completed session the forecast used", examples=["2018-06-01"])
    data_as_of: datetime | None = Field(description="instant at which as_of's bar became final")
    issued_at: datetime = Field(description="market time of the publication")
    stale_after: datetime | None = Field(
        description="due time of the calendar's next forecast run + 2 h, exclusive; "
        "the forecast is stale once the market time of /v1/status has passed it"
    )
    next_edition_at: datetime | None = Field(
        description="market time at which the next forecast run of its calendar is due; null at a record's end"
    )
    next_edition_in_seconds: float | None = Field(
        description="real seconds until then, from this answer on; null while a replayed clock waits for a run"
    )
    known_at: datetime = Field(description="the instant of this answer")
    mode: Mode
    edition: EditionMark
    last_close: float = Field(description="as_of's close on the forecast's basis", examples=[175.0])
    basis: Basis
    multi_step: StrategyForecast | None = Field(description="T, T+1, T+2")
    one_step: StrategyForecast | None = Field(description="T alone")
    disagreement: Disagreement | None = Field(description="of the two on T; null if either is missing")
    random_walk: OtherForecast | None = Field(description="the random walk's T, T+1, T+2")
    others: list[OtherForecast] = Field(description="every other stored forecast of this edition")


class Missing(Answer):
    """A symbol of a batch without a forecast."""

    symbol: str = Field(examples=["ZZZZ"])
    status: Literal[404, 503] = Field(description="status of a request for this symbol alone")
    reason: str = Field(examples=["there is no symbol ZZZZ; see /v1/symbols"])


class ForecastPage(Page):
    """Forecasts of several symbols, by symbol."""

    items: list[ForecastAnswer]
    missing: list[Missing]
