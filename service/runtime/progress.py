"""Events that the scheduler reports to a terminal or to a log of JSON lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from service.runs import Run
from service.vocabulary import RunState


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
        """Report that an edition was published."""
        ...

    def scores(self, summary: ScoreSummary) -> None:
        """Report that forecasts were scored."""
        ...

    def progress(self, task: str, fraction: float, detail: str) -> None:
        """Report the share of a task that is done, 0..1; 1 ends it."""
        ...

    def decision(self, group: str, strategy: str, sentence: str) -> None:
        """Report whether a version was promoted, and why."""
        ...

    def run_ended(self, run: Run, state: RunState, counts: Mapping[str, int], error: str | None) -> None:
        """Report that a run ended, waits, or will be retried."""
        ...

    def market_time(self, now: datetime, sentence: str) -> None:
        """Report that replayed market time moved, or that its record ended."""
        ...

    def notice(self, sentence: str, symbols: Sequence[str] = ()) -> None:
        """Report a message for the operator."""
        ...


class SilentReporter:
    """Ignores every event."""

    def edition(self, summary: EditionSummary) -> None:
        """Ignore it."""

    def scores(self, summary: ScoreSummary) -> None:
        """Ignore it."""

    def progress(self, task: str, fraction: float, detail: str) -> None:
        """Ignore it."""

    def decision(self, group: str, strategy: str, sentence: str) -> None:
        """Ignore it."""

    def run_ended(self, run: Run, state: RunState, counts: Mapping[str, int], error: str | None) -> None:
        """Ignore it."""

    def market_time(self, now: datetime, sentence: str) -> None:
        """Ignore it."""

    def notice(self, sentence: str, symbols: Sequence[str] = ()) -> None:
        """Ignore it."""
