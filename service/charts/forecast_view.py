"""The data of the forecast figure, taken from API answers for its traces and texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from service.api.common.schemas import Strategy
from service.api.forecasts.schemas import ForecastAnswer, OtherForecast, Step, StrategyForecast
from service.api.prices.schemas import PriceBar
from service.charts.axis import Slot, Zone, slots_of
from service.charts.numbers import decimals, price_text
from service.charts.past_intervals import PastInterval, PastIntervals
from service.vocabulary import RANDOM_WALK

LEVELS: tuple[int, ...] = (95, 80, 50)
"""Nominal levels of the bands, widest first."""

_OTHER: Mapping[Strategy, Strategy] = {"multi_step": "one_step", "one_step": "multi_step"}


@dataclass(frozen=True, slots=True)
class View:
    """The data of a forecast figure; prices are on the forecast's split basis.

    Attributes:
        answer: Answer of the forecast route.
        strategy: Strategy of the bands.
        main: The forecast of that strategy.
        other: The other strategy's T, if it is of the same session.
        walk: The random walk's steps, as many as the main forecast has.
        slots: Candles up to as_of, oldest first; at least one.
        sessions: Sessions in them.
        zone: Part of the axis for the steps.
        outcomes: Actual closes by target session.
        past: Past intervals of T on the candles.
        places: Decimals of a price.
    """

    answer: ForecastAnswer
    strategy: Strategy
    main: StrategyForecast
    other: Step | None
    walk: Sequence[Step]
    slots: Sequence[Slot]
    sessions: int
    zone: Zone
    outcomes: Mapping[date, float]
    past: PastIntervals
    places: int

    def price(self, price: float) -> str:
        """Return a price as text, without the currency."""
        return price_text(price, self.places)

    @property
    def unit(self) -> str:
        """The currency with a space before it, empty if unknown."""
        return f" {self.answer.currency}" if self.answer.currency else ""

    @property
    def per_slot(self) -> int:
        """Sessions per candle; the oldest one may have fewer."""
        return -(-self.sessions // len(self.slots))

    @property
    def slots_end(self) -> float:
        """Position of as_of's close: the last slot."""
        return len(self.slots) - 1.0

    @property
    def other_name(self) -> str:
        """Name of the other strategy."""
        return "one-step T" if self.strategy == "multi_step" else "multi-step T"

    def outcome(self, step: Step) -> float | None:
        """Return the actual close of a step, None without one."""
        return self.outcomes.get(step.target_session)


def view_of(
    answer: ForecastAnswer, bars: Sequence[PriceBar], strategy: Strategy, past: Sequence[PastInterval] = ()
) -> View | None:
    """Return the data of a forecast figure.

    Args:
        answer: Answer of the forecast route.
        bars: Bars of the range, and the stored ones after as_of, in any order.
        strategy: Strategy of the bands.
        past: Past intervals of T on the forecast's split basis.

    Returns:
        None without a published forecast of that strategy.
    """
    main = _strategy(answer, strategy)
    if main is None:
        return None
    ratio = answer.basis.split_ratio
    shown = [bar for bar in bars if bar.session <= answer.as_of]
    slots = slots_of(shown, ratio)
    if not slots:
        close = answer.last_close
        slots = [Slot(answer.as_of, answer.as_of, close, close, close, close)]
    return View(
        answer=answer,
        strategy=strategy,
        main=main,
        other=_other(main, _strategy(answer, _OTHER[strategy])),
        walk=_walk(answer, main, strategy),
        slots=slots,
        sessions=max(1, len(shown)),
        zone=Zone(len(slots), len(main.steps)),
        outcomes={bar.session: bar.close * ratio for bar in bars if bar.session > answer.as_of},
        past=PastIntervals(slots, past),
        places=decimals(answer.last_close, answer.currency, answer.group),
    )


def bounds(step: Step, level: int) -> tuple[float, float]:
    """Return the lower and upper price of a step's interval."""
    found = next(interval for interval in step.intervals if interval.level == level)
    return found.lower, found.upper


def _strategy(answer: ForecastAnswer, strategy: Strategy) -> StrategyForecast | None:
    return answer.multi_step if strategy == "multi_step" else answer.one_step


def _other(main: StrategyForecast, other: StrategyForecast | None) -> Step | None:
    if other is None or other.steps[0].target_session != main.steps[0].target_session:
        return None
    return other.steps[0]


def _walk(answer: ForecastAnswer, main: StrategyForecast, strategy: Strategy) -> Sequence[Step]:
    """Return the random walk's steps of the same sessions: of the same strategy if stored, else the multi-step's."""
    found: list[OtherForecast] = [
        other for other in answer.others if (other.forecaster, other.strategy) == (RANDOM_WALK, strategy)
    ]
    walk = found[0] if found else answer.random_walk
    targets = {step.target_session for step in main.steps}
    return [] if walk is None else [step for step in walk.steps if step.target_session in targets]
