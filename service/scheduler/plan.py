"""Plans the due runs of every calendar and group, and the requested runs."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from service.db.hash_chain import json_hash
from service.db.tables import run_requests, runs
from service.runs import PlannedRun, plan
from service.runtime.context import ServiceContext
from service.scheduler.due import GroupView, due_sessions, due_trainings
from service.scheduler.state import GroupReader, calendar_views
from service.vocabulary import Job, RequestState


def plan_due(context: ServiceContext, connection: Connection, groups: GroupReader, market_now: datetime) -> int:
    """Insert the runs that are due by a market-time instant; return their number.

    Args:
        context: The service's parts.
        connection: An open write transaction.
        groups: Reader of the training groups.
        market_now: Aware UTC market time.
    """
    planned = [run for view in calendar_views(connection) for run in due_sessions(context.calendars, view, market_now)]
    every = context.settings.sessions_per_training
    planned += due_trainings(context.calendars, groups.views(connection), market_now, every)
    return plan(connection, planned)


def add_request(connection: Connection, job: str, machine_now: datetime) -> int:
    """Write a run request for a job's newest runs; returns its id."""
    body = {"job": job}
    values = {
        "kind": "run", "body": body, "body_hash": json_hash(body), "state": RequestState.PENDING,
        "created_at": machine_now,
    }  # fmt: skip
    key = connection.execute(insert(run_requests).values(values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def answer_requests(context: ServiceContext, connection: Connection, market_now: datetime) -> None:
    """Plan the requested runs and store their ids, in the scheduler's own transaction.

    The calendar plans the session jobs anyway; a training is planned for the newest instant.
    """
    for row in connection.execute(select(run_requests).where(run_requests.c.state == RequestState.PENDING)).all():
        job = row.body["job"]
        if job == Job.TRAIN:
            plan_trainings(context, connection, market_now)
        result = {"runs": newest_runs(connection, job)}
        connection.execute(
            update(run_requests)
            .where(run_requests.c.id == row.id)
            .values(state=RequestState.DONE, finished_at=context.machine.now(connection), result=result)
        )


def plan_trainings(context: ServiceContext, connection: Connection, market_now: datetime) -> None:
    """Plan a training of every group for its newest due instant.

    A training that exists at that instant is not repeated.
    """
    views = GroupReader().views(connection)
    now_due = [GroupView(view.name, view.calendars, None) for view in views]
    planned: list[PlannedRun] = due_trainings(
        context.calendars, now_due, market_now, context.settings.sessions_per_training
    )
    plan(connection, planned)


def newest_runs(connection: Connection, job: str) -> list[int]:
    """Return the ids of a job's runs at the newest instant of each scope."""
    newest = (
        select(runs.c.scope, func.max(runs.c.scheduled_for).label("instant"))
        .where(runs.c.job == job)
        .group_by(runs.c.scope)
        .subquery()
    )
    query = (
        select(runs.c.id)
        .join(newest, (newest.c.scope == runs.c.scope) & (newest.c.instant == runs.c.scheduled_for))
        .where(runs.c.job == job)
        .order_by(runs.c.id)
    )
    return list(connection.execute(query).scalars())


def read_request(connection: Connection, request_id: int) -> Any:
    """Return a request's row."""
    return connection.execute(select(run_requests).where(run_requests.c.id == request_id)).one()
