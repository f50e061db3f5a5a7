"""Track records of the skill figure."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.api.accuracy.schemas import AccuracyItem
from service.api.forecasts.schemas import LABELS, MIN_SESSIONS
from service.charts.chart import SIGNIFICANT
from service.vocabulary import SERVED


@dataclass(frozen=True, slots=True)
class Record:
    """One forecaster's track record at one step.

    Attributes:
        item: The row of the accuracy route.
        ratio: Its pinball over the random walk's; None under `MIN_SESSIONS` sessions.
    """

    item: AccuracyItem
    ratio: float | None

    @property
    def is_significant(self) -> bool:
        """Whether the difference from the random walk is significant at 5 %."""
        return self.item.p is not None and self.item.p < SIGNIFICANT

    @property
    def label(self) -> str:
        """Name of the step."""
        return LABELS[self.item.step - 1]


def records_of(items: Sequence[AccuracyItem]) -> list[Record]:
    """Return the track records, `served` first, then by name, each by step."""
    ordered = sorted(items, key=lambda item: (item.forecaster != SERVED, item.forecaster, item.step))
    return [Record(item, None if item.skill is None or item.n < MIN_SESSIONS else 1 - item.skill) for item in ordered]
