"""The result of a backfill so far; it is stored with each session, so that a killed run continues with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import Connection, func, select

from service.db.tables import editions, forecasts, runs, served_forecasts
from service.forecasts.backfill.span import BackfillSpan
from service.runs import Outcome
from service.vocabulary import BackfillOutcome


@dataclass(frozen=True, slots=True)
class BackfilledEdition:
    """A published edition of a backfill."""

    as_of: date
    number: int


@dataclass(frozen=True, slots=True)
class RefusedSymbol:
    """A symbol that had no forecaster on some sessions.

    Attributes:
        sessions: Number of such sessions.
        reason: The reason at the last of them.
    """

    sessions: int
    reason: str


@dataclass(slots=True)
class BackfillSummary:
    """Result of a backfill so far.

    Attributes:
        calendar: The calendar's own name.
        first: First as_of session of the range.
        last: Last as_of session of the range.
        sessions: Number of as_of sessions of the range.
        done_through: Last session that is done; None before the first.
        published: Forecasts published, one for each symbol and session.
        already_stored: Number of symbols and sessions with a stored forecast.
        without_bar: Number of symbols and sessions without a bar.
        refused: Symbols that had no forecaster on some session.
    """

    calendar: str
    first: date
    last: date
    sessions: int
    done_through: date | None = None
    published: int = 0
    already_stored: int = 0
    without_bar: int = 0
    refused: dict[str, RefusedSymbol] = field(default_factory=dict)

    @staticmethod
    def begin(span: BackfillSpan) -> "BackfillSummary":
        """Return the summary of a backfill that has done nothing."""
        return BackfillSummary(span.calendar, span.sessions[0], span.sessions[-1], len(span.sessions))

    @staticmethod
    def of(stored: Mapping[str, Any]) -> "BackfillSummary":
        """Return a summary from its plain JSON."""
        dates = {name: date.fromisoformat(stored[name]) for name in ("first", "last")}
        done = stored["done_through"]
        refused = {symbol: RefusedSymbol(*each) for symbol, each in stored["refused"].items()}
        own = {"done_through": None if done is None else date.fromisoformat(done), "refused": refused, **dates}
        return BackfillSummary(**{**stored, **own})

    def to_json(self) -> dict[str, Any]:
        """Return the summary as plain JSON."""
        return {
            "calendar": self.calendar,
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "sessions": self.sessions,
            "done_through": None if self.done_through is None else self.done_through.isoformat(),
            "published": self.published,
            "already_stored": self.already_stored,
            "without_bar": self.without_bar,
            "refused": {symbol: [each.sessions, each.reason] for symbol, each in self.refused.items()},
        }

    @property
    def is_empty(self) -> bool:
        """Whether no symbol had a bar in the range."""
        return not self.published + self.already_stored + len(self.refused)


def read_summary(connection: Connection, run_id: int) -> BackfillSummary | None:
    """Return the summary of a backfill run, None before its first session."""
    stored = connection.execute(select(runs.c.result).where(runs.c.id == run_id)).scalar_one_or_none()
    return None if stored is None else BackfillSummary.of(stored)


def read_backfilled(connection: Connection, run_id: int) -> list[BackfilledEdition]:
    """Return the editions of a backfill run, oldest as_of first."""
    query = select(editions.c.as_of, editions.c.number).where(editions.c.run_id == run_id)
    return [BackfilledEdition(*row) for row in connection.execute(query.order_by(editions.c.as_of, editions.c.number))]


def read_symbol_outcomes(
    connection: Connection, run_id: int, span: BackfillSpan, summary: BackfillSummary
) -> list[Outcome]:
    """Return one outcome per symbol of a backfill, with the number of its sessions."""
    own_editions = (
        select(served_forecasts.c.symbol, func.count(editions.c.number.distinct()))
        .join(editions, editions.c.number == served_forecasts.c.edition)
        .where(editions.c.run_id == run_id)
        .group_by(served_forecasts.c.symbol)
    )
    published: dict[str, int] = {symbol: count for symbol, count in connection.execute(own_editions)}
    within = forecasts.c.as_of.between(span.sessions[0], span.sessions[-1])
    stored = set(
        connection.execute(
            select(forecasts.c.symbol).where(forecasts.c.symbol.in_(span.symbols), within).distinct()
        ).scalars()
    )
    return [_outcome(symbol, published.get(symbol, 0), symbol in stored, summary) for symbol in span.symbols]


def _outcome(symbol: str, published: int, is_stored: bool, summary: BackfillSummary) -> Outcome:
    refused = summary.refused.get(symbol)
    refusal = "" if refused is None else f"refused at {refused.sessions} sessions; reason of the last: {refused.reason}"
    if published:
        return Outcome(symbol, BackfillOutcome.PUBLISHED, "; ".join(filter(None, (f"{published} sessions", refusal))))
    if refusal:
        return Outcome(symbol, BackfillOutcome.REFUSED, refusal)
    if is_stored:
        return Outcome(symbol, BackfillOutcome.ALREADY_STORED)
    return Outcome(symbol, BackfillOutcome.WITHOUT_BAR)
