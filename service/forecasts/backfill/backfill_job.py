"""Back-fills: forecasts from past sessions that have none, made by forecasters that have not seen what came after.

Each session is an edition in a transaction of its own, under the ledger's lock: a back-fill that is killed goes on
where it stood, and a scheduler beside it publishes between two of them. What is final of a session is scored in the
transaction that publishes it. Nothing on time is touched: back-fills have an origin and a track record of their own.
"""

from collections import defaultdict
from collections.abc import Collection
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
from service.forecasts.predict import Predictions, compose
from service.forecasts.publication import BACKFILL, EditionDraft
from service.forecasts.scoring.score_job import score_edition
from service.forecasts.scoring.track_records import update_accuracy
from service.runtime.context import ServiceContext


@dataclass(slots=True)
class BackfillSummary:
    """What a back-fill did.

    Attributes:
        calendar: The calendar's own name.
        sessions: The as_of sessions it went through, oldest first.
        editions: (as_of, number) of each edition published.
        published: Forecasts published, one for each symbol and session.
        already_stored: Of how many symbols and sessions a forecast is stored already.
        without_bar: Of how many as_of has no bar.
        refused: Symbol -> how many sessions no forecaster answered, and why at the last of them.
    """

    calendar: str
    sessions: tuple[date, ...]
    editions: list[tuple[date, int]] = field(default_factory=list)
    published: int = 0
    already_stored: int = 0
    without_bar: int = 0
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)


def backfill(context: ServiceContext, request: BackfillRequest) -> BackfillSummary:
    """Publish, session by session, what is missing of a range; repeated, it publishes nothing new.

    A session is back-filled once it is final and T has opened. Each forecast uses bars up to as_of alone, of versions
    whose data end before as_of's final instant, and the calibration that was stored as of as_of. `issued_at` is market
    time now.

    Args:
        context: The service's parts.
        request: What.

    Raises:
        CalendarError: there is no such calendar.
        SettingsError: the dates are the wrong way round, or hold no session that is past.
        NotFound: no symbol of the watchlist fits, or none has a bar in the range.
    """
    span = check_span(context, request)
    summary = BackfillSummary(span.calendar, span.sessions)
    lineups = PointInTimeVersions(context, span.cut_at)
    task = f"back-fill {span.calendar}"
    for place, as_of in enumerate(span.sessions):
        context.reporter.progress(task, place / len(span.sessions), f"as of {as_of}")
        _fill(context, span, lineups, as_of, summary)
    if not summary.published + summary.already_stored + len(summary.refused):
        context.reporter.progress(task, 1.0, "no bars")
        raise NotFound(
            f"{', '.join(span.symbols)}: no bar of any session from {span.sessions[0]} to {span.sessions[-1]}; "
            "take a range in which `GET /v1/prices` shows bars"
        )
    with context.database.transaction() as connection:
        update_accuracy(connection, span.symbols, BACKFILL)
        raise_changes(connection, span.symbols)
    context.reporter.progress(task, 1.0, "done")
    return summary


def _fill(
    context: ServiceContext, span: BackfillSpan, lineups: PointInTimeVersions, as_of: date, summary: BackfillSummary
) -> None:
    """Back-fill one session, and count what was done."""
    with context.database.reading() as connection:
        missing = _missing(connection, span, as_of)
    ready = [one for one in missing if one.close is not None]
    summary.already_stored += len(span.symbols) - len(missing)
    summary.without_bar += len(missing) - len(ready)
    composed = _compose(context, span, lineups, (as_of, ready))
    for outcome in composed.outcomes:
        if outcome.state == "refused":
            times, _ = summary.refused.get(outcome.symbol, (0, ""))
            summary.refused[outcome.symbol] = (times + 1, outcome.told)
    if not composed.items:
        return
    with context.database.transaction() as connection:
        lock_changes(connection)
        # Another back-fill may have been faster, or a bar may have been corrected since it was read.
        still = {(one.symbol, one.close, one.basis) for one in _missing(connection, span, as_of)}
        fresh = composed.of({one.symbol for one in ready if (one.symbol, one.close, one.basis) in still})
        if not fresh.items:
            return
        draft = EditionDraft(BACKFILL, span.calendar, as_of, None, fresh.forecasts, fresh.items)
        number = publish(connection, draft, context.market.now(connection), context.machine.now(connection))
        score_edition(context, connection, span.calendar, number)
    summary.editions.append((as_of, number))
    summary.published += len({item.symbol for item in fresh.items})


def _missing(connection: Connection, span: BackfillSpan, as_of: date) -> list[Candidate]:
    """The span's symbols without any forecast from a session, with what is stored of them."""
    said = exists().where(forecasts.c.symbol == instruments.c.symbol, forecasts.c.as_of == as_of)
    query = (
        select(
            instruments.c.symbol, instruments.c.group, instruments.c.state, instruments.c.state_reason,
            instruments.c.basis, bars.c.close, literal(0), null(),
        )
        .outerjoin(bars, and_(bars.c.symbol == instruments.c.symbol, bars.c.session == as_of))
        .where(instruments.c.symbol.in_(span.symbols), ~said)
        .order_by(instruments.c.symbol)
    )  # fmt: skip
    return [Candidate(*row) for row in connection.execute(query)]


def _compose(
    context: ServiceContext, span: BackfillSpan, lineups: PointInTimeVersions, of: tuple[date, Collection[Candidate]]
) -> Predictions:
    as_of, ready = of
    groups: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in ready:
        groups[candidate.group].append(candidate)
    instant = context.calendars.final_at(span.calendar, as_of)
    parts = [
        compose(context, group, members, span.calendar, as_of, lineups.at(group, instant))
        for group, members in sorted(groups.items())
    ]
    return Predictions.joined(parts)
