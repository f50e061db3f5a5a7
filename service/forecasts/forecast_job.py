"""The forecast job: publish what is ready, wait for what is not, and never after T has opened."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import Connection

from models.config import INTERVAL_BOUNDS, MEDIAN
from service.forecasts.candidates import Candidate, read_candidates
from service.forecasts.ledger import publish
from service.forecasts.predict import Predictions, compose
from service.forecasts.publication import EditionDraft
from service.runs import Outcome, Run, finish, guard, read_outcomes, record_and_count, wait
from service.runtime.context import ServiceContext
from service.runtime.progress import EditionSummary, ServedStep
from service.training.first_random_walk import ensure_random_walk
from service.training.registry.versions import serving_versions

RECHECK = timedelta(hours=1)
"""Market time after which missing bars are looked for again."""

_LOW, _HIGH = INTERVAL_BOUNDS[0.80]


def forecast(context: ServiceContext, run: Run) -> None:
    """Forecast the symbols of a calendar from the run's session, as far as they can be and are not yet."""
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
    composed = _compose_groups(context, run, ready)
    with context.database.transaction() as connection:
        guard(connection, run)
        issued_at = context.market.now(connection)
        if issued_at >= deadline:  # the work took until T opened
            _miss(context, connection, run, todo)
            return
        number = _publish(context, connection, run, composed, issued_at)
        outcomes = list(composed.outcomes)
        outcomes += [Outcome(c.symbol, "waiting", f"no bar of {run.session} yet") for c in waiting]
        _settle(context, connection, run, outcomes, (issued_at, deadline))
    if number is not None:
        context.reporter.edition(_summary(context, run, number, composed, issued_at))


def _compose_groups(context: ServiceContext, run: Run, ready: Sequence[Candidate]) -> Predictions:
    groups: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in ready:
        groups[candidate.group].append(candidate)
    parts = []
    for group, members in sorted(groups.items()):
        ensure_random_walk(context, run, group, context.calendars.final_at(run.scope, run.session))
        parts.append(compose(context, group, members, run.scope, run.session))
    return Predictions.joined(parts)


def _publish(
    context: ServiceContext, connection: Connection, run: Run, composed: Predictions, issued_at: datetime
) -> int | None:
    if not composed.items:
        return None
    draft = EditionDraft(context.mode, run.scope, run.session, run.id, composed.forecasts, composed.items)
    return publish(connection, draft, issued_at, context.machine.now(connection))


def _settle(
    context: ServiceContext,
    connection: Connection,
    run: Run,
    outcomes: Sequence[Outcome],
    times: tuple[datetime, datetime],
) -> None:
    """Finish the run, or let it wait while a symbol still lacks its bar."""
    now, deadline = times
    if not any(outcome.state == "waiting" for outcome in outcomes):
        _finish(context, connection, run, outcomes)
        return
    wait(connection, run, min(now + RECHECK, deadline), record_and_count(connection, run, outcomes))


def _miss(context: ServiceContext, connection: Connection, run: Run, todo: Sequence[Candidate]) -> None:
    """End the run with what is not published yet as missed; a refusal has its own reason and stands."""
    deadline = context.calendars.deadline(run.scope, run.session)
    target = context.calendars.next(run.scope, run.session)
    due = context.calendars.final_at(run.scope, target)
    following = f"the forecast of the session after it is due {due:%Y-%m-%dT%H:%M:%SZ}"
    reason = (
        f"T ({target}) opened before this could be issued (on time until {deadline:%Y-%m-%dT%H:%M:%SZ}); {following}"
    )
    before = {outcome.symbol: outcome.state for outcome in read_outcomes(connection, run.id)}
    late = [one for one in todo if one.published_close is None and before.get(one.symbol) != "refused"]
    without = f"no bar of {run.session} came before T ({target}) opened"
    if context.calendars.is_closed(run.scope, run.session):
        without = f"session {run.session} turned out closed; {following}"
    # A run that looked in time and found no bar knows why; one that was itself too late knows only that.
    told = {one.symbol: one.blame(without) if before.get(one.symbol) == "waiting" else reason for one in late}
    _finish(context, connection, run, [Outcome(symbol, "missed", why) for symbol, why in told.items()])


def _finish(context: ServiceContext, connection: Connection, run: Run, outcomes: Sequence[Outcome]) -> None:
    counts = record_and_count(connection, run, outcomes)
    finish(connection, run, context.machine.now(connection), counts=counts)


def _summary(
    context: ServiceContext, run: Run, number: int, composed: Predictions, issued_at: datetime
) -> EditionSummary:
    served = {(item.symbol, item.strategy, item.model_version_id): item.reason for item in composed.items}
    with context.database.reading() as connection:
        groups = {c.group for c in read_candidates(connection, run.scope, run.session)}
        names = {v.id: v.forecaster for group in groups for v in serving_versions(connection, group)}
    steps = []
    for draft in composed.forecasts:
        reason = served.get((draft.symbol, draft.strategy, draft.model_version_id))
        if reason is None:
            continue
        low, point, high = (float(draft.last_close * np.exp(draft.calibrated[i])) for i in (_LOW, MEDIAN, _HIGH))
        steps.append(
            ServedStep(
                draft.symbol,
                draft.strategy,
                draft.step,
                draft.target_session,
                draft.last_close,
                point,
                low,
                high,
                names.get(draft.model_version_id, f"version {draft.model_version_id}"),
                reason,
            )
        )
    ordered = sorted(steps, key=lambda step: (step.symbol, step.strategy, step.step))
    return EditionSummary(number, run.scope, run.session, issued_at, tuple(ordered))
