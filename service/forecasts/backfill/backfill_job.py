"""Backfills missing forecasts of past sessions with forecasters that have not seen later data.

Each session is an edition in a transaction of its own, under the ledger's lock: a backfill that is killed resumes, and
a scheduler may publish between two sessions. Final forecasts of a session are scored in the transaction that publishes
them. Forecasts on time are not changed: backfills have a mode and a track record of their own.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import Connection, and_, exists, literal, null, select

from service.db.change_counters import lock_changes, raise_changes
from service.db.tables import bars, forecasts, instruments
from service.errors import NotFound
from service.forecasts.backfill.model_versions import PointInTimeVersions
from service.forecasts.backfill.span import BackfillRequest, BackfillSpan, check_span
from service.forecasts.candidates import Candidate
from service.forecasts.ledger import publish
from service.forecasts.predict import Predictions, predict
from service.forecasts.publication import Publication
from service.forecasts.scoring.score_job import score_edition
from service.forecasts.scoring.track_records import update_track_records
from service.runtime.context import ServiceContext
from service.vocabulary import ForecastOutcome, Mode


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
    """Result of a backfill.

    Attributes:
        calendar: The calendar's own name.
        sessions: The as_of sessions of the range, oldest first.
        editions: The editions published, oldest as_of first.
        published: Forecasts published, one for each symbol and session.
        already_stored: Number of symbols and sessions with a stored forecast.
        without_bar: Number of symbols and sessions without a bar.
        refused: Symbols that had no forecaster on some session.
    """

    calendar: str
    sessions: tuple[date, ...]
    editions: list[BackfilledEdition] = field(default_factory=list)
    published: int = 0
    already_stored: int = 0
    without_bar: int = 0
    refused: dict[str, RefusedSymbol] = field(default_factory=dict)


def backfill(context: ServiceContext, request: BackfillRequest) -> BackfillSummary:
    """Publish the missing forecasts of a range, session by session.

    A repeated backfill publishes nothing. A session is backfilled once it is final and T has opened. Each forecast
    uses bars up to as_of alone, a version whose data end before as_of's final instant, and the calibration stored as
    of as_of. `issued_at` is market time now.

    Args:
        context: The service's parts.
        request: Calendar, dates and symbols.

    Raises:
        CalendarError: the calendar does not exist.
        SettingsError: the dates are in the wrong order, or contain no past session.
        NotFound: no symbol of the watchlist matches, or none has a bar in the range.
    """
    span = check_span(context, request)
    summary = BackfillSummary(span.calendar, span.sessions)
    versions = PointInTimeVersions(context, span.cut_at)
    task = f"backfill {span.calendar}"
    for place, as_of in enumerate(span.sessions):
        context.reporter.progress(task, place / len(span.sessions), f"as of {as_of}")
        _fill(context, span, versions, as_of, summary)
    if not summary.published + summary.already_stored + len(summary.refused):
        context.reporter.progress(task, 1.0, "no bars")
        raise NotFound(
            f"{', '.join(span.symbols)}: no bar of any session from {span.sessions[0]} to {span.sessions[-1]}; "
            "use a range in which `GET /v1/prices` shows bars"
        )
    with context.database.transaction() as connection:
        lock_changes(connection)
        update_track_records(connection, span.symbols, Mode.BACKFILL)
        raise_changes(connection, span.symbols)
    context.reporter.progress(task, 1.0, "done")
    return summary


def _fill(
    context: ServiceContext, span: BackfillSpan, versions: PointInTimeVersions, as_of: date, summary: BackfillSummary
) -> None:
    """Backfill one session and update the summary."""
    with context.database.reading() as connection:
        missing = _missing(connection, span, as_of)
    ready = [candidate for candidate in missing if candidate.close is not None]
    summary.already_stored += len(span.symbols) - len(missing)
    summary.without_bar += len(missing) - len(ready)
    predictions = _predict(context, span, versions, as_of, ready)
    for outcome in predictions.outcomes:
        if outcome.state == ForecastOutcome.REFUSED:
            before = summary.refused.get(outcome.symbol)
            sessions = 1 if before is None else before.sessions + 1
            summary.refused[outcome.symbol] = RefusedSymbol(sessions, outcome.message)
    if not predictions.items:
        return
    with context.database.transaction() as connection:
        lock_changes(connection)
        # Another backfill may have published since, or a bar may have been corrected.
        current = {(c.symbol, c.close, c.basis) for c in _missing(connection, span, as_of)}
        valid = predictions.of({c.symbol for c in ready if (c.symbol, c.close, c.basis) in current})
        if not valid.items:
            return
        publication = Publication(Mode.BACKFILL, span.calendar, as_of, None, valid.forecasts, valid.items)
        number = publish(connection, publication, context.market.now(connection), context.machine.now(connection))
        score_edition(context, connection, span.calendar, number)
    summary.editions.append(BackfilledEdition(as_of, number))
    summary.published += len({item.symbol for item in valid.items})


def _missing(connection: Connection, span: BackfillSpan, as_of: date) -> list[Candidate]:
    """Return the symbols without a forecast from a session, with their stored state."""
    published = exists().where(forecasts.c.symbol == instruments.c.symbol, forecasts.c.as_of == as_of)
    query = (
        select(
            instruments.c.symbol, instruments.c.group, instruments.c.state, instruments.c.state_reason,
            instruments.c.basis, bars.c.close, literal(0), null(),
        )
        .outerjoin(bars, and_(bars.c.symbol == instruments.c.symbol, bars.c.session == as_of))
        .where(instruments.c.symbol.in_(span.symbols), ~published)
        .order_by(instruments.c.symbol)
    )  # fmt: skip
    return [Candidate(*row) for row in connection.execute(query)]


def _predict(
    context: ServiceContext, span: BackfillSpan, versions: PointInTimeVersions, as_of: date, ready: Sequence[Candidate]
) -> Predictions:
    groups: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in ready:
        groups[candidate.group].append(candidate)
    instant = context.calendars.final_at(span.calendar, as_of)
    parts = [
        predict(context, group, members, span.calendar, as_of, versions.at(group, instant))
        for group, members in sorted(groups.items())
    ]
    return Predictions.joined(parts)
