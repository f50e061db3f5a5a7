"""What the scheduler tells whoever watches: a terminal, or a log of JSON lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from service.runs import Run


@dataclass(frozen=True, slots=True)
class ServedStep:
    """One line of a forecast table: a price with its 80 % interval."""

    symbol: str
    strategy: str
    step: int
    target_session: date
    last_close: float
    point: float
    low: float
    high: float
    served_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class EditionSummary:
    """An edition as it was published."""

    number: int
    calendar: str
    as_of: date
    issued_at: datetime
    steps: tuple[ServedStep, ...]


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """What a score run found.

    Attributes:
        calendar: Its calendar.
        session: Newest session scored.
        scored: Served steps scored now.
        inside_80: Of those, how many closed inside their 80 % interval.
        void: Forecasts that got no bar and were closed without a score.
    """

    calendar: str
    session: date
    scored: int
    inside_80: int
    void: int


class Reporter(Protocol):
    """Told of everything that happens, in order."""

    def edition(self, summary: EditionSummary) -> None:
        """An edition was published."""
        ...

    def scores(self, summary: ScoreSummary) -> None:
        """Forecasts were scored."""
        ...

    def progress(self, task: str, fraction: float, detail: str) -> None:
        """Long work stands at a fraction 0..1; 1 ends it."""
        ...

    def decision(self, group: str, strategy: str, sentence: str) -> None:
        """A version was promoted or not, and why."""
        ...

    def run_ended(self, run: Run, state: str, counts: Mapping[str, int], error: str | None) -> None:
        """A run ended, waits, or will be tried again."""
        ...

    def market_time(self, now: datetime, sentence: str) -> None:
        """Replayed market time moved, or its record ended."""
        ...

    def notice(self, sentence: str, symbols: Sequence[str] = ()) -> None:
        """Something a person may want to act on."""
        ...


class SilentReporter:
    """Says nothing."""

    def edition(self, summary: EditionSummary) -> None:
        """Ignored."""

    def scores(self, summary: ScoreSummary) -> None:
        """Ignored."""

    def progress(self, task: str, fraction: float, detail: str) -> None:
        """Ignored."""

    def decision(self, group: str, strategy: str, sentence: str) -> None:
        """Ignored."""

    def run_ended(self, run: Run, state: str, counts: Mapping[str, int], error: str | None) -> None:
        """Ignored."""

    def market_time(self, now: datetime, sentence: str) -> None:
        """Ignored."""

    def notice(self, sentence: str, symbols: Sequence[str] = ()) -> None:
        """Ignored."""
