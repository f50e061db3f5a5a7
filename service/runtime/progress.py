"""Events that the scheduler reports, to a terminal or to a log of JSON lines."""

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
    """A published edition."""

    number: int
    calendar: str
    as_of: date
    issued_at: datetime
    steps: tuple[ServedStep, ...]


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """Result of a score run.

    Attributes:
        calendar: Its calendar.
        session: Newest session scored.
        scored: Published steps scored in this run.
        inside_80: Number of those inside their 80 % interval.
        void: Forecasts without a bar.
    """

    calendar: str
    session: date
    scored: int
    inside_80: int
    void: int


class Reporter(Protocol):
    """Receives every event, in order."""

    def edition(self, summary: EditionSummary) -> None:
        """An edition was published."""
        ...

    def scores(self, summary: ScoreSummary) -> None:
        """Forecasts were scored."""
        ...

    def progress(self, task: str, fraction: float, detail: str) -> None:
        """Work is done up to a fraction 0..1; 1 ends it."""
        ...

    def decision(self, group: str, strategy: str, sentence: str) -> None:
        """A version was promoted or not, and why."""
        ...

    def run_ended(self, run: Run, state: str, counts: Mapping[str, int], error: str | None) -> None:
        """A run ended, waits, or will be retried."""
        ...

    def market_time(self, now: datetime, sentence: str) -> None:
        """Replayed market time moved, or its record ended."""
        ...

    def notice(self, sentence: str, symbols: Sequence[str] = ()) -> None:
        """A message for a person."""
        ...


class SilentReporter:
    """Ignores every event."""

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
