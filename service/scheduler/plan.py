"""Planning: the due runs of every calendar and group, inserted where they are not there yet."""

from datetime import datetime

from sqlalchemy import Connection

from service.runs import plan
from service.runtime.context import ServiceContext
from service.scheduler.due import due_sessions, due_trainings
from service.scheduler.state import GroupReader, calendar_views


def plan_due(context: ServiceContext, connection: Connection, groups: GroupReader, market_now: datetime) -> int:
    """Insert the runs that are due by a market-time instant; returns how many were new.

    Args:
        context: The service's parts.
        connection: An open write transaction.
        groups: Reader of the training groups.
        market_now: Aware UTC market time.
    """
    planned = [run for view in calendar_views(connection) for run in due_sessions(context.calendars, view, market_now)]
    planned += due_trainings(context.calendars, groups.views(connection), market_now)
    return plan(connection, planned)
