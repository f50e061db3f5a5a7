"""The forecast job: publishes the forecasts of a calendar before T opens.

Symbols whose bar is missing are forecast in a later edition. Nothing is published after T has opened.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import Connection

from models.config import INTERVAL_BOUNDS, MEDIAN
from models.phases import Phase
from service.alerts.detection.missing import emit_missed
from service.alerts.outbox import Instants
from service.clock import instant_text
from service.db.change_counters import lock_changes
from service.forecasts.candidates import Candidate, read_candidates
from service.forecasts.ledger import publish
from service.forecasts.predict import Predictions, predict
from service.forecasts.publication import Publication
from service.runs import Outcome, Run, finish_with_outcomes, guard, read_outcomes, record_and_count, wait
from service.runtime.context import ServiceContext
from service.runtime.progress import EditionSummary, ServedStep
from service.training.first_random_walk import ensure_random_walk
from service.training.registry.versions import serving_versions
from service.vocabulary import ForecastOutcome

RECHECK = timedelta(hours=1)
"""Market time after which missing bars are checked again."""

PUBLISH = "publish"
"""Phase of a forecast run in which the edition is written."""

_LOW, _HIGH = INTERVAL_BOUNDS[0.80]


def forecast(context: ServiceContext, run: Run) -> None:
    """Forecast the symbols of a calendar from the run's session that have no forecast yet."""
    with context.database.reading() as connection:
        candidates = read_candidates(connection, run.scope, run.session)
        now = context.market.now(connection)
    unpublished = [candidate for candidate in candidates if not candidate.is_published]
    deadline = context.calendars.deadline(run.scope, run.session)
    if now >= deadline:
        with context.database.transaction() as connection:
            guard(connection, run)
            lock_changes(connection)  # alerts are written with the outcomes
            _record_missed(context, connection, run, unpublished)
        return
    ready = [candidate for candidate in unpublished if candidate.close is not None]
    waiting = [candidate for candidate in unpublished if candidate.close is None]
    predictions = _predict_groups(context, run, ready)
    with context.database.transaction() as connection:
        guard(connection, run)
        lock_changes(connection)
        issued_at = context.market.now(connection)  # after the wait for the lock: T may have opened meanwhile
        if issued_at >= deadline:  # T opened during the computation
            _record_missed(context, connection, run, unpublished)
            return
        with Phase(PUBLISH, rows=len(predictions.forecasts)):
            number = _publish(context, connection, run, predictions, issued_at)
        outcomes = list(predictions.outcomes)
        # "Yet" is not said of a symbol whose pull knows why there is none.
        outcomes += [
            Outcome(
                c.symbol,
                ForecastOutcome.WAITING,
                c.describe(f"no bar of {run.session}{' yet' if c.state_reason is None else ''}"),
            )
            for c in waiting
        ]
        _finish_or_wait(context, connection, run, outcomes, min(issued_at + RECHECK, deadline))
    if number is not None:
        context.reporter.edition(_summary(context, run, number, predictions, issued_at))


def _predict_groups(context: ServiceContext, run: Run, ready: Sequence[Candidate]) -> Predictions:
    groups: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in ready:
        groups[candidate.group].append(candidate)
    parts = []
    for group, members in sorted(groups.items()):
        ensure_random_walk(context, run, group, context.calendars.final_at(run.scope, run.session))
        parts.append(predict(context, group, members, run.scope, run.session))
    return Predictions.joined(parts)


def _publish(
    context: ServiceContext, connection: Connection, run: Run, predictions: Predictions, issued_at: datetime
) -> int | None:
    if not predictions.items:
        return None
    publication = Publication(context.mode, run.scope, run.session, run.id, predictions.forecasts, predictions.items)
    return publish(connection, publication, issued_at, context.machine.now(connection))


def _finish_or_wait(
    context: ServiceContext, connection: Connection, run: Run, outcomes: Sequence[Outcome], until: datetime
) -> None:
    """Finish the run; while a bar is missing, let it wait until an instant."""
    if not any(outcome.state == ForecastOutcome.WAITING for outcome in outcomes):
        finish_with_outcomes(connection, run, context.machine.now(connection), outcomes)
        return
    wait(connection, run, until, record_and_count(connection, run, outcomes))


def _record_missed(context: ServiceContext, connection: Connection, run: Run, unpublished: Sequence[Candidate]) -> None:
    """Finish the run: unpublished symbols are missed, refused ones keep their reason."""
    deadline = context.calendars.deadline(run.scope, run.session)
    target = context.calendars.next(run.scope, run.session)
    due = context.calendars.final_at(run.scope, target)
    next_due = f"the next forecast is due {instant_text(due)}"
    too_late = f"T ({target}) opened before this could be issued (on time until {instant_text(deadline)}); {next_due}"
    without_bar = f"no bar of {run.session} before T ({target}) opened"
    if context.calendars.is_closed(run.scope, run.session):
        without_bar = f"session {run.session} was closed; {next_due}"
    states = {outcome.symbol: outcome.state for outcome in read_outcomes(connection, run.id)}
    missed: list[Outcome] = []
    for candidate in unpublished:
        state = states.get(candidate.symbol)
        if candidate.published_close is not None or state == ForecastOutcome.REFUSED:
            continue
        # A run that was on time knows that the bar was missing; a late run knows only that it was late.
        reason = candidate.describe(without_bar) if state == ForecastOutcome.WAITING else too_late
        missed.append(Outcome(candidate.symbol, ForecastOutcome.MISSED, reason))
    machine_now = context.machine.now(connection)
    finish_with_outcomes(connection, run, machine_now, missed)
    reasons = {outcome.symbol: outcome.reason or outcome.state for outcome in missed}
    emit_missed(connection, run.scope, run.session, reasons, Instants(context.market.now(connection), machine_now))


def _summary(
    context: ServiceContext, run: Run, number: int, predictions: Predictions, issued_at: datetime
) -> EditionSummary:
    reasons = {(item.symbol, item.strategy, item.model_version_id): item.reason for item in predictions.items}
    with context.database.reading() as connection:
        groups = {c.group for c in read_candidates(connection, run.scope, run.session)}
        names = {v.id: v.forecaster for group in groups for v in serving_versions(connection, group)}
    steps = []
    for item in predictions.forecasts:
        reason = reasons.get((item.symbol, item.strategy, item.model_version_id))
        if reason is None:
            continue
        low, point, high = (float(item.last_close * np.exp(item.calibrated[i])) for i in (_LOW, MEDIAN, _HIGH))
        steps.append(
            ServedStep(
                item.symbol,
                item.strategy,
                item.step,
                item.target_session,
                item.last_close,
                point,
                low,
                high,
                names.get(item.model_version_id, f"version {item.model_version_id}"),
                reason,
            )
        )
    ordered = sorted(steps, key=lambda step: (step.symbol, step.strategy, step.step))
    return EditionSummary(number, run.scope, run.session, issued_at, tuple(ordered))
