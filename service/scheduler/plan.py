"""Plans the due runs of every calendar and group."""

from datetime import datetime

from sqlalchemy import Connection, func, select

from service.db.tables import runs
from service.runs import PlannedRun, plan
from service.runtime.context import ServiceContext
from service.scheduler.due import GroupView, due_sessions, due_trainings
from service.scheduler.state import GroupReader, calendar_views


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


def plan_trainings(context: ServiceContext, connection: Connection, market_now: datetime) -> None:
    """Plan a training of every group for its newest due instant.

    A training that exists at that instant is not repeated.
    """
    views = GroupReader().views(connection)
    now_due = [GroupView(view.name, view.calendars, None) for view in views]
    plan(connection, due_trainings(context.calendars, now_due, market_now, context.settings.sessions_per_training))


def newest_training(
    context: ServiceContext, connection: Connection, group: str, market_now: datetime
) -> PlannedRun | None:
    """Return the training of a group at its newest due instant; None if it has no watched symbol with bars."""
    views = [GroupView(view.name, view.calendars, None) for view in GroupReader().views(connection)]
    now_due = [view for view in views if view.name == group]
    planned = due_trainings(context.calendars, now_due, market_now, context.settings.sessions_per_training)
    return planned[0] if planned else None


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
