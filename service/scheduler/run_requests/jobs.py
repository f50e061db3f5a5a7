"""Plans the runs of a requested job: for one calendar or group, a backfill, or the newest runs for a command."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, func, select

from service.db.tables import runs
from service.errors import NotFound, NotYet
from service.forecasts.backfill.span import BackfillRequest, check_span
from service.run_requests.store import RunRequest
from service.runs import LIVE_STATES, PlannedRun, plan
from service.runtime.context import ServiceContext
from service.scheduler.plan import newest_runs, newest_training, plan_due, plan_trainings
from service.scheduler.run_requests.carried import Action, Carried
from service.scheduler.state import GroupReader, newest_sequence
from service.vocabulary import Job


def check_run(context: ServiceContext, request: RunRequest) -> Action:
    """Return what plans the runs of a request.

    Raises:
        CalendarError, NotFound, SettingsError: a backfill is not possible; the message says why.
    """
    body = request.body
    job, scope = str(body["job"]), body.get("scope")
    if job == Job.BACKFILL:
        return _check_backfill(context, body)
    if scope is None:
        return lambda connection: _plan_newest(context, connection, job)
    return lambda connection: _plan_scope(context, connection, job, str(scope))


def _plan_newest(context: ServiceContext, connection: Connection, job: str) -> Carried:
    """Plan what a one-off command needs: the calendar plans session jobs, a training is planned at its instant."""
    market_now = context.market.now(connection)
    plan_due(context, connection, GroupReader(), market_now)
    if job == Job.TRAIN:
        plan_trainings(context, connection, market_now)
    ids = tuple(newest_runs(connection, job))
    return Carried(job, ids, waits=bool(ids))


def _plan_scope(context: ServiceContext, connection: Connection, job: str, scope: str) -> Carried:
    """Plan a job for one calendar or group, or return its newest run if that is due or running.

    A further run overtakes one that waits for bars.

    Raises:
        NotFound: no symbol of the watchlist is in the group.
        NotYet: no session of the calendar is final.
    """
    market_now = context.market.now(connection)
    plan_due(context, connection, GroupReader(), market_now)
    instant, session = _newest_instant(context, connection, job, scope, market_now)
    same = (runs.c.job == job, runs.c.scope == scope, runs.c.scheduled_for == instant)
    newest = connection.execute(select(runs).where(*same).order_by(runs.c.sequence.desc()).limit(1)).one_or_none()
    if newest is not None and newest.state in LIVE_STATES:
        return Carried(f"{job} {scope}", (newest.id,), waits=True, note="the run was planned already")
    sequence = None if newest is None else newest.sequence
    if job != Job.TRAIN:
        sequence = newest_sequence(connection, scope, instant)
    planned = PlannedRun(job, scope, instant, session, 0 if sequence is None else sequence + 1)
    plan(connection, [planned])
    return Carried(f"{job} {scope}", (_id_of(connection, planned),), waits=True)


def _newest_instant(
    context: ServiceContext, connection: Connection, job: str, scope: str, market_now: datetime
) -> tuple[datetime, date]:
    if job == Job.TRAIN:
        training = newest_training(context, connection, scope, market_now)
        if training is None:
            raise NotFound(f"no symbol of the group {scope} is on the watchlist with bars; see /v1/symbols")
        return training.scheduled_for, training.session
    session = context.calendars.newest_final(scope, market_now)
    if session is None:
        raise NotYet(f"no session of {scope} is final yet; request the run after the first one")
    return context.calendars.final_at(scope, session), session


def _check_backfill(context: ServiceContext, body: Mapping[str, Any]) -> Action:
    wanted = BackfillRequest.of(str(body["scope"]), body)
    span = check_span(context, wanted, context.market_now())
    parameters = wanted.parameters

    def write(connection: Connection) -> Carried:
        query = select(runs.c.id, runs.c.parameters).where(
            runs.c.job == Job.BACKFILL, runs.c.scope == span.calendar, runs.c.state.in_(LIVE_STATES)
        )
        subject = f"backfill {span.calendar}"
        for row in connection.execute(query.order_by(runs.c.id)):
            if row.parameters == parameters:
                return Carried(subject, (row.id,), waits=True, note="the same backfill was planned already")
        instant = context.market.now(connection)
        same = (runs.c.job == Job.BACKFILL, runs.c.scope == span.calendar, runs.c.scheduled_for == instant)
        newest = connection.execute(select(func.max(runs.c.sequence)).where(*same)).scalar_one()
        sequence = 0 if newest is None else newest + 1
        planned = PlannedRun(Job.BACKFILL, span.calendar, instant, span.sessions[-1], sequence, parameters=parameters)
        plan(connection, [planned])
        return Carried(subject, (_id_of(connection, planned),), waits=True, detail=parameters)

    return write


def _id_of(connection: Connection, planned: PlannedRun) -> int:
    """Return the id of a run that was planned in this transaction."""
    query = select(runs.c.id).where(
        runs.c.job == planned.job,
        runs.c.scope == planned.scope,
        runs.c.scheduled_for == planned.scheduled_for,
        runs.c.sequence == planned.sequence,
    )
    found: int = connection.execute(query).scalar_one()
    return found
