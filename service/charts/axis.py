"""The index axis: one slot per session, so that closed days take no space, and a zone for the forecast."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from service.api.prices.schemas import PriceBar

MAX_SLOTS = 400
"""Most candles; a longer range has several sessions per candle."""

ZONE = 0.28
"""Share of the axis for the steps: less is unreadable on a narrow screen, more crowds the candles."""

_FEW_SLOTS = 260
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MAX_TICKS = 7


@dataclass(frozen=True, slots=True)
class Slot:
    """One position on the axis: a session, or several of a long range.

    Attributes:
        first: Its first session.
        last: Its last session (inclusive).
        open: Of the first session.
        high: Highest price.
        low: Lowest price.
        close: Of the last session.
        volume: Sum over its sessions; None if the vendor gives none.
    """

    first: date
    last: date
    open: float
    high: float
    low: float
    close: float
    volume: float | None = None

    @property
    def name(self) -> str:
        """The session, or the first and the last one."""
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


@dataclass(frozen=True, slots=True)
class Zone:
    """The part of the axis for the steps: right of the last slot, a little over a quarter of the width.

    Attributes:
        slots: Slots before it.
        steps: Steps in it.
    """

    slots: int
    steps: int

    @property
    def start(self) -> float:
        """Start: the right edge of the last slot."""
        return self.slots - 0.5

    @property
    def width(self) -> float:
        """Width in slots."""
        return self.slots * ZONE / (1 - ZONE)

    @property
    def step_width(self) -> float:
        """Slots from one step to the next."""
        return self.width / (self.steps + 0.5)

    @property
    def end(self) -> float:
        """End, with a gutter for labels after the last step."""
        return self.start + self.width

    def at(self, step: int) -> float:
        """Return the position of a step, 1 first."""
        return self.start + (step - 0.4) * self.step_width


def slots_of(bars: Sequence[PriceBar], ratio: float = 1.0) -> list[Slot]:
    """Return bars as slots, oldest first.

    Args:
        bars: In any order; a missing price is replaced by the close.
        ratio: Factor of each price: from the bars' split basis to the forecast's.
    """
    ordered = sorted(bars, key=lambda bar: bar.session)
    size = 1 if len(ordered) <= MAX_SLOTS else -(-len(ordered) // _FEW_SLOTS)
    # Full slots at the right end: only the oldest one may be partial.
    bounds = [*range(len(ordered), 0, -size), 0][::-1]
    return [_slot(ordered[low:high], ratio) for low, high in pairwise(bounds)]


def _slot(bars: Sequence[PriceBar], ratio: float) -> Slot:
    first, last = bars[0], bars[-1]
    prices = [price for bar in bars for price in (bar.open, bar.high, bar.low, bar.close) if price is not None]
    opened = first.close if first.open is None else first.open
    volumes = [bar.volume for bar in bars if bar.volume is not None]
    return Slot(
        first.session,
        last.session,
        opened * ratio,
        max(prices) * ratio,
        min(prices) * ratio,
        last.close * ratio,
        sum(volumes) / ratio if volumes else None,
    )


def day_month(day: date) -> str:
    """Return a day as text: `4 Jun`."""
    return f"{day.day} {_MONTHS[day.month - 1]}"


def ticks(days: Sequence[date]) -> tuple[list[int], list[str]]:
    """Return positions and texts of the labels below an index axis.

    Args:
        days: The session of each slot, oldest first.

    Returns:
        Indices and labels: the first slot of each week, month, quarter, year or longer, at most 7 of them.
    """
    if not days:
        return [], []
    for period in (_week, _month, _quarter, _year, _five_years, _twenty_years):
        starts = [at for at in range(1, len(days)) if period(days[at]) != period(days[at - 1])]
        if len(starts) <= _MAX_TICKS:
            break
    if not starts:
        starts = [0]
    texts, shown_year = [], None
    for at in starts:
        texts.append(_label(days[at], period is _week, period in (_month, _quarter), shown_year))
        shown_year = days[at].year
    return starts, texts


def step_ticks(targets: Sequence[date]) -> list[str]:
    """Return labels of the steps: `T` over the day, with the month if it is new."""
    texts = []
    for place, day in enumerate(targets):
        is_new = place == 0 or day.month != targets[place - 1].month
        name = "T" if place == 0 else f"T+{place}"
        texts.append(f"{name}<br>{day_month(day) if is_new else day.day}")
    return texts


def _label(day: date, weekly: bool, monthly: bool, shown_year: int | None) -> str:
    if weekly:
        text = day_month(day)
    elif monthly:
        text = _MONTHS[day.month - 1]
    else:
        return str(day.year)
    return text if day.year == shown_year else f"{text}<br>{day.year}"


def _week(day: date) -> tuple[int, int]:
    return day.isocalendar()[:2]


def _month(day: date) -> tuple[int, int]:
    return day.year, day.month


def _quarter(day: date) -> tuple[int, int]:
    return day.year, (day.month - 1) // 3


def _year(day: date) -> tuple[int, int]:
    return day.year, 0


def _five_years(day: date) -> tuple[int, int]:
    return day.year // 5, 0


def _twenty_years(day: date) -> tuple[int, int]:
    return day.year // 20, 0
