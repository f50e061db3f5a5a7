"""The forecast job: publishes what is ready, waits for missing bars, and never publishes after T opens."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import Connection

from models.config import INTERVAL_BOUNDS, MEDIAN
from service.forecasts.candidates import Candidate, read_candidates
from service.forecasts.ledger import publish
from service.forecasts.predict import Predictions, predict
from service.forecasts.publication import Publication
from service.runs import Outcome, Run, finish, guard, read_outcomes, record_and_count, wait
from service.runtime.context import ServiceContext
from service.runtime.progress import EditionSummary, ServedStep
from service.training.first_random_walk import ensure_random_walk
from service.training.registry.versions import serving_versions

RECHECK = timedelta(hours=1)
"""Market time after which missing bars are checked again."""

_LOW, _HIGH = INTERVAL_BOUNDS[0.80]


def forecast(context: ServiceContext, run: Run) -> None:
    """Forecast the symbols of a calendar from the run's session that have no forecast yet."""
    with context.database.reading() as connection:
        candidates = read_candidates(connection, run.scope, run.session)
        now = context.market.now(connection)
    todo = [candidate for candidate in candidates if not candidate.is_published]
    deadline = context.calendars.deadline(run.scope, run.session)
    if now >= deadline:
        with context.database.transaction() as connection:
            guard(connection, run)
            _miss(context, connection, run, todo)
        return
    ready = [candidate for candidate in todo if candidate.close is not None]
    waiting = [candidate for candidate in todo if candidate.close is None]
    predictions = _predict_groups(context, run, ready)
    with context.database.transaction() as connection:
        guard(connection, run)
        issued_at = context.market.now(connection)
        if issued_at >= deadline:  # the work took until T opened
            _miss(context, connection, run, todo)
            return
        number = _publish(context, connection, run, predictions, issued_at)
        outcomes = list(predictions.outcomes)
        outcomes += [Outcome(c.symbol, "waiting", f"no bar of {run.session} yet") for c in waiting]
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
    """Finish the run, or let it wait until an instant while a bar is missing."""
    if not any(outcome.state == "waiting" for outcome in outcomes):
        _finish(context, connection, run, outcomes)
        return
    wait(connection, run, until, record_and_count(connection, run, outcomes))


def _miss(context: ServiceContext, connection: Connection, run: Run, todo: Sequence[Candidate]) -> None:
    """End the run: unpublished symbols are missed, refused ones keep their reason."""
    deadline = context.calendars.deadline(run.scope, run.session)
    target = context.calendars.next(run.scope, run.session)
    due = context.calendars.final_at(run.scope, target)
    following = f"the next forecast is due {due:%Y-%m-%dT%H:%M:%SZ}"
    reason = (
        f"T ({target}) opened before this could be issued (on time until {deadline:%Y-%m-%dT%H:%M:%SZ}); {following}"
    )
    before = {outcome.symbol: outcome.state for outcome in read_outcomes(connection, run.id)}
    late = [one for one in todo if one.published_close is None and before.get(one.symbol) != "refused"]
    without = f"no bar of {run.session} before T ({target}) opened"
    if context.calendars.is_closed(run.scope, run.session):
        without = f"session {run.session} was closed; {following}"
    # A run that was on time knows that the bar was missing; a late run knows only that it was late.
    reasons = {one.symbol: one.describe(without) if before.get(one.symbol) == "waiting" else reason for one in late}
    _finish(context, connection, run, [Outcome(symbol, "missed", why) for symbol, why in reasons.items()])


def _finish(context: ServiceContext, connection: Connection, run: Run, outcomes: Sequence[Outcome]) -> None:
    counts = record_and_count(connection, run, outcomes)
    finish(connection, run, context.machine.now(connection), counts=counts)


def _summary(
    context: ServiceContext, run: Run, number: int, predictions: Predictions, issued_at: datetime
) -> EditionSummary:
    served = {(item.symbol, item.strategy, item.model_version_id): item.reason for item in predictions.items}
    with context.database.reading() as connection:
        groups = {c.group for c in read_candidates(connection, run.scope, run.session)}
        names = {v.id: v.forecaster for group in groups for v in serving_versions(connection, group)}
    steps = []
    for made in predictions.forecasts:
        reason = served.get((made.symbol, made.strategy, made.model_version_id))
        if reason is None:
            continue
        low, point, high = (float(made.last_close * np.exp(made.calibrated[i])) for i in (_LOW, MEDIAN, _HIGH))
        steps.append(
            ServedStep(
                made.symbol,
                made.strategy,
                made.step,
                made.target_session,
                made.last_close,
                point,
                low,
                high,
                names.get(made.model_version_id, f"version {made.model_version_id}"),
                reason,
            )
        )
    ordered = sorted(steps, key=lambda step: (step.symbol, step.strategy, step.step))
    return EditionSummary(number, run.scope, run.session, issued_at, tuple(ordered))
