"""The backfill job: missing forecasts of past sessions, by forecasters that have not seen later data.

Each session is an edition in a transaction of its own, under the ledger's lock, with the progress of the run: a run
that is killed continues after its last session, and a scheduler may publish between two sessions. Final forecasts of a
session are scored in the transaction that publishes them. Forecasts on time are not changed: backfills have a mode and
a track record of their own. The job works in slices and releases its run between them, so that due runs come first.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import Connection, and_, exists, literal, null, select, update

from models.phases import Phase
from service.db.change_counters import lock_changes, raise_changes
from service.db.tables import bars, forecasts, instruments, runs
from service.errors import CalendarError, NotFound, SettingsError, TplusError
from service.forecasts.backfill.model_versions import PointInTimeVersions
from service.forecasts.backfill.span import BackfillRequest, BackfillSpan, check_span
from service.forecasts.backfill.summary import (
    BackfillSummary,
    RefusedSymbol,
    read_symbol_outcomes,
)
from service.forecasts.candidates import Candidate
from service.forecasts.ledger import publish
from service.forecasts.predict import GroupForecasts, Predictions, complete, compute_group
from service.forecasts.publication import Publication
from service.forecasts.scoring.score_job import score_edition
from service.forecasts.scoring.track_records import update_track_records
from service.runs import Run, finish, guard, record_and_count, release, store_progress
from service.runtime.context import ServiceContext
from service.training.registry.versions import ModelVersion
from service.vocabulary import ForecastOutcome, Mode

SLICE_SECONDS = 1.0
"""Real seconds after which a run is released, so that due runs are executed first."""

MOST_AT_A_TIME = 8
"""Sessions whose forecasts are computed at the same time: each reads the database on a connection of its own."""

SESSIONS = "sessions at the same time"
"""Phase in which the forecasts of several sessions are computed."""


class BackfillImpossible(TplusError):
    """No further attempt of a backfill can succeed."""


def backfill(context: ServiceContext, run: Run) -> None:
    """Publish the missing forecasts of the run's range, session by session, for one slice.

    A repeated backfill publishes nothing. A session is backfilled if it was final and T had opened when the run was
    requested. Each forecast uses bars up to as_of alone, a version whose data end before as_of's final instant, and the
    calibration stored as of as_of. `issued_at` is market time now.

    Args:
        context: The service's parts.
        run: The claimed run.

    Raises:
        BackfillImpossible: The watchlist changed, or no session of the range has a bar; the message says which.
    """
    with context.database.reading() as connection:
        row = connection.execute(select(runs.c.parameters, runs.c.result).where(runs.c.id == run.id)).one()
    try:
        span = check_span(context, BackfillRequest.of(run.scope, row.parameters), run.scheduled_for)
    except (CalendarError, NotFound, SettingsError) as error:  # the watchlist changed
        raise _impossible(context, run, str(error)) from error
    summary = BackfillSummary.begin(span) if row.result is None else BackfillSummary.of(row.result)
    task = _Backfill(context, run, span, summary, PointInTimeVersions(context, span.cut_at))
    if _work(task):
        _finish(task)
        return
    with context.database.transaction() as connection:
        release(connection, run)


@dataclass(frozen=True, slots=True)
class _Backfill:
    """A claimed backfill: its range, what it has done, and the versions that forecast."""

    context: ServiceContext
    run: Run
    span: BackfillSpan
    summary: BackfillSummary
    versions: PointInTimeVersions


@dataclass(frozen=True, slots=True)
class _Session:
    """A session before it is published.

    Attributes:
        missing: Symbols without a forecast when it was computed.
        groups: Those with a bar, by group, and their forecasts, not calibrated.
    """

    missing: list[Candidate]
    groups: list[tuple[list[Candidate], GroupForecasts]]


def _work(task: _Backfill) -> bool:
    """Backfill sessions until the slice is over; returns whether all are done.

    With an executor that runs several tasks at a time, the forecasts of as many sessions are computed at the same time.
    They are calibrated, published and scored one session after another, as always.
    """
    begun = time.monotonic()
    done = task.summary.done_through
    sessions = task.span.sessions
    left = [(place, day) for place, day in enumerate(sessions, start=1) if done is None or day > done]
    at_a_time = min(task.context.child.slots(), MOST_AT_A_TIME)
    for start in range(0, len(left), at_a_time):
        chunk = left[start : start + at_a_time]
        for (place, as_of), computed in zip(chunk, _compute(task, [day for _, day in chunk]), strict=True):
            _fill(task, as_of, place, computed)
        if time.monotonic() - begun >= SLICE_SECONDS and chunk[-1][0] < len(sessions):
            return False
    return True


def _compute(task: _Backfill, days: Sequence[date]) -> list[_Session]:
    """Compute the forecasts of some sessions, at the same time if there are several."""
    context, span = task.context, task.span
    found: list[_Session] = []
    parts: list[_Part] = []
    for as_of in days:
        with context.database.reading() as connection:
            found.append(_Session(_missing(connection, span, as_of), []))
        groups: dict[str, list[Candidate]] = defaultdict(list)
        for candidate in found[-1].missing:
            if candidate.close is not None:
                groups[candidate.group].append(candidate)
        instant = context.calendars.final_at(span.calendar, as_of)
        for group, members in sorted(groups.items()):
            parts.append(_Part(found[-1], group, members, instant, task.versions.at(group, instant)))
    if len(days) == 1:
        computed = [part.compute(context) for part in parts]
    else:
        cluster = replace(context, warm=context.child)
        # Log lines of the threads name the run too.
        contexts = [copy_context() for _ in parts]
        with Phase(SESSIONS, rows=len(days)), ThreadPoolExecutor(len(days), thread_name_prefix="backfill") as threads:
            computed = list(threads.map(lambda part, own: own.run(part.compute, cluster), parts, contexts))
    for part, forecasts_of in zip(parts, computed, strict=True):
        part.session.groups.append((part.members, forecasts_of))
    return found


@dataclass(frozen=True, slots=True)
class _Part:
    """One group of one session to be computed."""

    session: _Session
    group: str
    members: list[Candidate]
    instant: datetime
    versions: tuple[ModelVersion, ...]

    def compute(self, context: ServiceContext) -> GroupForecasts:
        symbols = tuple(member.symbol for member in self.members)
        return compute_group(context, self.group, symbols, self.instant, self.versions)


def _finish(task: _Backfill) -> None:
    context, run, span = task.context, task.run, task.span
    if task.summary.is_empty:
        raise _impossible(
            context,
            run,
            f"{', '.join(span.symbols)}: no bar of any session from {span.sessions[0]} to {span.sessions[-1]}; "
            "use a range in which `GET /v1/prices` shows bars",
        )
    with context.database.transaction() as connection:
        guard(connection, run)
        lock_changes(connection)
        update_track_records(connection, span.symbols, Mode.BACKFILL)
        raise_changes(connection, span.symbols)
        counts = record_and_count(connection, run, read_symbol_outcomes(connection, run.id, span, task.summary))
        finish(connection, run, context.machine.now(connection), counts=counts)
    context.reporter.progress(f"backfill {span.calendar}", 1.0, "done")


def _impossible(context: ServiceContext, run: Run, reason: str) -> BackfillImpossible:
    context.reporter.progress(f"backfill {run.scope}", 1.0, "failed")
    return BackfillImpossible(reason)


def _fill(task: _Backfill, as_of: date, place: int, computed: _Session) -> None:
    """Backfill one session from its computed forecasts and store what is done."""
    context, span, summary = task.context, task.span, task.summary
    share = place / len(span.sessions)
    context.reporter.progress(f"backfill {span.calendar}", min(share, 0.99), f"as of {as_of}")
    missing = computed.missing
    ready = [candidate for candidate in missing if candidate.close is not None]
    parts = [
        complete(context, members, span.calendar, as_of, forecasts_of) for members, forecasts_of in computed.groups
    ]
    predictions = Predictions.joined(parts)
    with context.database.transaction() as connection:
        guard(connection, task.run)
        lock_changes(connection)
        published = _publish(task, connection, as_of, ready, predictions) if predictions.items else 0
        summary.published += published
        summary.already_stored += len(span.symbols) - len(missing)
        summary.without_bar += len(missing) - len(ready)
        _count_refused(summary, predictions)
        summary.done_through = as_of
        store_progress(connection, task.run, share, f"as of {as_of}")
        connection.execute(update(runs).where(runs.c.id == task.run.id).values(result=summary.to_json()))


def _publish(
    task: _Backfill, connection: Connection, as_of: date, ready: Sequence[Candidate], predictions: Predictions
) -> int:
    """Publish the forecasts of a session and score them; returns the number of symbols."""
    context, calendar = task.context, task.span.calendar
    # Another backfill may have published since, or a bar may have been corrected.
    current = {(c.symbol, c.close, c.basis) for c in _missing(connection, task.span, as_of)}
    valid = predictions.of({c.symbol for c in ready if (c.symbol, c.close, c.basis) in current})
    if not valid.items:
        return 0
    publication = Publication(Mode.BACKFILL, calendar, as_of, task.run.id, valid.forecasts, valid.items)
    number = publish(connection, publication, context.market.now(connection), context.machine.now(connection))
    score_edition(context, connection, calendar, number)
    return len({item.symbol for item in valid.items})


def _count_refused(summary: BackfillSummary, predictions: Predictions) -> None:
    for outcome in predictions.outcomes:
        if outcome.state == ForecastOutcome.REFUSED:
            before = summary.refused.get(outcome.symbol)
            sessions = 1 if before is None else before.sessions + 1
            summary.refused[outcome.symbol] = RefusedSymbol(sessions, outcome.message)


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
