"""Past 80 % intervals of T behind the candles, with closes inside and outside marked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from service.charts.axis import Slot
from service.charts.chart import Json
from service.charts.theme import Theme

_WIDTH = 0.84
"""Width of an interval in slots: gaps separate the sessions."""

_OPACITY = 0.6
"""Of the intervals: the candles in them must stay legible."""

_CROWDED = 130
"""Slots above which the marks are smaller."""


@dataclass(frozen=True, slots=True)
class PastInterval:
    """The published 80 % interval of T for a past session: prices on the figure's split basis.

    Attributes:
        session: The target session.
        lower: Lower price.
        point: Price at the median.
        upper: Upper price.
        inside: Whether the close was inside, by the stored score; None without a score.
    """

    session: date
    lower: float
    point: float
    upper: float
    inside: bool | None


class PastIntervals:
    """Past intervals on the slots of a figure; empty if a slot has several sessions.

    Args:
        slots: Candles, oldest first.
        intervals: In any order; those without a candle are left out.
    """

    def __init__(self, slots: Sequence[Slot], intervals: Sequence[PastInterval]) -> None:
        self.slots = slots
        is_daily = all(slot.first == slot.last for slot in slots)
        self._by_session: Mapping[date, PastInterval] = {each.session: each for each in intervals} if is_daily else {}

    def __iter__(self) -> Iterator[tuple[int, PastInterval]]:
        """Yield position and interval, oldest first."""
        for place, slot in enumerate(self.slots):
            interval = self._by_session.get(slot.last)
            if interval is not None:
                yield place, interval

    @property
    def scored(self) -> int:
        """Number of intervals with a score."""
        return sum(interval.inside is not None for _, interval in self)

    @property
    def hits(self) -> int:
        """Number of closes inside."""
        return sum(bool(interval.inside) for _, interval in self)

    @property
    def prices(self) -> list[float]:
        """Every price that is drawn."""
        return [price for _, interval in self for price in (interval.lower, interval.upper)]

    def of(self, session: date) -> PastInterval | None:
        """Return the interval of a session, None without one."""
        return self._by_session.get(session)

    def traces(self, theme: Theme) -> list[Json]:
        """Return the intervals as columns, and the marks of the closes; nothing without intervals."""
        shown = list(self)
        if not shown:
            return []
        columns: Json = {
            "type": "bar",
            "name": "80 % interval of T, past",
            "x": [place for place, _ in shown],
            "base": [interval.lower for _, interval in shown],
            "y": [interval.upper - interval.lower for _, interval in shown],
            "width": _WIDTH,
            "marker": {"color": theme.band80, "opacity": _OPACITY, "line": {"width": 0}},
            "hoverinfo": "none",
            "showlegend": True,
            "meta": {"role": "past80", "level": 80, "sessions": [str(interval.session) for _, interval in shown]},
        }
        return [columns, self._marks(True, theme), self._marks(False, theme)]

    def _marks(self, inside: bool, theme: Theme) -> Json:
        places = [place for place, interval in self if interval.inside is inside]
        small = len(self.slots) > _CROWDED
        size = (3 if small else 4) if inside else (6 if small else 9)
        return {
            "type": "scatter",
            "mode": "markers",
            "name": f"close {'inside' if inside else 'outside'} ({len(places)})",
            "x": places,
            "y": [self.slots[place].close for place in places],
            "marker": {
                "symbol": "circle" if inside else "x",
                "size": size,
                "color": theme.median if inside else theme.accent,
                "line": {"width": 0},
            },
            "hoverinfo": "none",
            "showlegend": True,
            "meta": {"role": "hits" if inside else "misses"},
        }


def sentence(past: PastIntervals) -> str:
    """Return how many closes of the figure are inside; empty without scored intervals."""
    if past.scored == 0:
        return ""
    return f"In this range, {past.hits} of {past.scored} closes are inside the 80 % interval of T."
