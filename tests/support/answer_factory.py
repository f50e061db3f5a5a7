"""API answers with simple figures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from service.api.accuracy.schemas import AccuracyItem
from service.api.common.schemas import Mode
from service.api.forecasts.schemas import (
    Basis,
    Coverage,
    EditionMark,
    ForecastAnswer,
    Interval,
    LevelHeld,
    OtherForecast,
    Quantiles,
    ServedBy,
    Skill,
    Step,
    StrategyForecast,
)
from service.api.history.schemas import Outcome, PastForecast
from service.api.prices.schemas import PriceBar

AS_OF = date(2018, 6, 1)
TARGETS = (date(2018, 6, 4), date(2018, 6, 5), date(2018, 6, 6))
INSTANT = datetime(2018, 6, 1, 22, 0, tzinfo=UTC)
CLOSED = date(2018, 5, 28)
"""Memorial Day, a Monday."""


@dataclass(frozen=True)
class Made:
    """Parameters of an answer.

    Attributes:
        close: Last close.
        spread: Half widths of the 50, 80 and 95 % intervals of T as shares of the close; step k has k times as much.
        n: Scored sessions.
        skill: Skill against the random walk.
        p: Its p.
        held: Measured share of every level.
    """

    close: float = 100.0
    spread: tuple[float, float, float] = (0.01, 0.02, 0.03)
    n: int = 252
    skill: float | None = 0.014
    p: float | None = 0.2
    held: float | None = 0.79
    currency: str | None = "USD"
    group: str = "equity"
    served: str = "lstm"
    ratio: float = 1.0
    mode: Mode = "replay"
    strategies: tuple[str, ...] = ("multi_step", "one_step")
    shift: float = 0.0


def step(made: Made, number: int, shift: float = 0.0) -> Step:
    """Return step `number`; its median is `number * shift` above the close, as a share."""
    point = made.close * (1 + shift * number)
    spans = [
        Interval(
            level=level,
            lower=point - made.close * share * number,
            upper=point + made.close * share * number,
            lower_return=-share * number,
            upper_return=share * number,
        )
        for level, share in zip((50, 80, 95), made.spread, strict=True)
    ]
    quantiles = Quantiles(q025=-0.03, q10=-0.02, q25=-0.01, q50=0.0, q75=0.01, q90=0.02, q975=0.03)
    levels = [LevelHeld(level=level, measured=made.held) for level in (50, 80, 95)]
    return Step(
        step=number,
        label=("T", "T+1", "T+2")[number - 1],
        target_session=TARGETS[number - 1],
        point=point,
        median=math.log1p(shift * number),
        quantiles=quantiles,
        raw=quantiles,
        intervals=spans,
        dividends=0.0,
        degraded=[],
        skill=Skill(value=made.skill, n=made.n, kind="replay", as_of=AS_OF, p=made.p),
        coverage=Coverage(n=made.n, levels=levels),
    )


def answer(made: Made | None = None) -> ForecastAnswer:
    """Return a forecast of AAPL as of Friday 2018-06-01: bands of 1, 2 and 3 % per step.

    The random walk's bands are 1.5 times as wide.
    """
    of = made or Made()
    walk = Made(close=of.close, spread=(0.015, 0.03, 0.045), n=of.n, skill=0.0, held=of.held)
    skill = Skill(value=of.skill, n=of.n, kind="replay", as_of=AS_OF, p=of.p)
    coverage = Coverage(n=of.n, levels=[LevelHeld(level=80, measured=of.held)])

    def strategy(name: str, steps: int) -> StrategyForecast | None:
        if name not in of.strategies:
            return None
        by = ServedBy(
            model_version_id=7,
            forecaster=of.served,
            status="champion",
            trained_at=INSTANT,
            reason="champion of its group",
        )
        shift = of.shift if name == "multi_step" else of.shift + 0.001
        made_steps = [step(of, number, shift) for number in range(1, steps + 1)]
        return StrategyForecast(
            served_by=by, steps=made_steps, skill=skill, coverage=coverage, joint=None, held_out=None
        )

    return ForecastAnswer(
        symbol="AAPL", currency=of.currency, calendar="XNYS", time_zone="America/New_York",
        approximate=False, group=of.group, as_of=AS_OF,
        data_as_of=INSTANT, issued_at=INSTANT, stale_after=None, known_at=INSTANT,
        next_edition_at=None, next_edition_in_seconds=None,
        mode=of.mode, edition=EditionMark(number=412, hash="9f2c"), last_close=of.close,
        basis=Basis(forecast=0, current=0 if of.ratio == 1 else 1, split_ratio=of.ratio,
                    note=None if of.ratio == 1 else "AAPL was re-based since this forecast"),
        multi_step=strategy("multi_step", 3), one_step=strategy("one_step", 1), disagreement=None,
        random_walk=OtherForecast(model_version_id=1, forecaster="random_walk", status="retired", trained_at=INSTANT,
                                  strategy="multi_step", steps=[step(walk, number) for number in (1, 2, 3)],
                                  skill=skill, coverage=coverage, joint=None),
        others=[],
    )  # fmt: skip


def bar(day: date, close: float, opened: float | None = None, reach: float = 1.0) -> PriceBar:
    """Return a bar with high and low `reach` above and below its close and open."""
    first = close if opened is None else opened
    return PriceBar(
        session=day, open=first, high=max(first, close) + reach, low=min(first, close) - reach, close=close,
        adjusted_close=close, volume=1000.0, revision=0, fetched_at=INSTANT,
    )  # fmt: skip


def weekdays(last: date, count: int) -> list[date]:
    """Return sessions up to `last` (inclusive), oldest first: weekdays without Memorial Day."""
    found: list[date] = []
    day = last
    while len(found) < count:
        if day.weekday() < 5 and day != CLOSED:
            found.append(day)
        day -= timedelta(days=1)
    return found[::-1]


def bars(count: int = 21, close: float = 100.0) -> list[PriceBar]:
    """Return bars up to as_of, newest first as in the API; the last two close up and down."""
    made = [bar(day, close, close) for day in weekdays(AS_OF, count)]
    return made[::-1]


@dataclass(frozen=True)
class Past:
    """Return a past forecast of T: 80 % interval of ±2 %."""

    target: date
    actual: float | None = 0.0
    state: str = "scored"
    inside: bool | None = True
    superseded: bool = False
    reason: str | None = None
    quantiles: Quantiles = field(
        default_factory=lambda: Quantiles(q025=-0.03, q10=-0.02, q25=-0.01, q50=0.0, q75=0.01, q90=0.02, q975=0.03)
    )


def past(rows: Sequence[Past]) -> list[PastForecast]:
    """Return past forecasts, newest first."""
    made = [
        PastForecast(
            as_of=row.target - timedelta(days=1), step=1, target_session=row.target, strategy="multi_step",
            model_version_id=7, forecaster="lstm", served=True, edition=1, mode="replay", issued_at=INSTANT,
            revision=1, superseded=row.superseded, basis=0, last_close=100.0, point=100.0, intervals=[],
            quantiles=row.quantiles,
            outcome=Outcome(state=row.state, actual=row.actual, inside_80=row.inside, reason=row.reason),
        )
        for row in rows
    ]  # fmt: skip
    return sorted(made, key=lambda each: each.as_of, reverse=True)


def record(forecaster: str, number: int, skill: float | None, n: int = 252, p: float | None = 0.04) -> AccuracyItem:
    """Return a track record of AAPL."""
    return AccuracyItem(
        scope_kind="symbol", scope="AAPL", strategy="multi_step", step=number, forecaster=forecaster, mode="replay",
        as_of=AS_OF, n=n, pinball=0.0027, random_walk_pinball=0.0028, skill=skill, coverage_50=0.51, coverage_80=0.77,
        coverage_95=0.94, mae=0.01, p=p,
    )  # fmt: skip
