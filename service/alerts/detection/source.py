"""The price source of a calendar that went down, and came up again."""

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from service.alerts.outbox import AlertEvent, Instants, emit
from service.db.tables import alert_conditions
from service.vocabulary import AlertKind


def down_since(connection: Connection, calendar: str) -> datetime | None:
    """Return the market time since which a calendar's source is down, None if it is up."""
    table = alert_conditions.c
    query = select(table.since).where(table.kind == AlertKind.SOURCE_DOWN, table.subject == calendar)
    return connection.execute(query).scalar_one_or_none()


def source_went_down(connection: Connection, calendar: str, reason: str, at: Instants) -> None:
    """Record that no symbol of a calendar could be pulled, and emit it; nothing if that is known.

    Args:
        connection: A write transaction.
        calendar: The calendar of the pull.
        reason: Why the first symbol could not be pulled.
        at: The instants.
    """
    if down_since(connection, calendar) is not None:
        return
    values = {"kind": AlertKind.SOURCE_DOWN, "subject": calendar, "since": at.market_at}
    connection.execute(insert(alert_conditions).values(values))
    message = f"prices of {calendar} are not arriving: {reason}"
    key = f"{calendar}:{at.market_at:%Y-%m-%dT%H:%M:%S}"
    emit(connection, [AlertEvent(AlertKind.SOURCE_DOWN, key, message, {"reason": reason}, calendar=calendar)], at)


def source_came_up(connection: Connection, calendar: str, at: Instants) -> None:
    """Record that a calendar's source answers again, and emit it; nothing if it was not down."""
    since = down_since(connection, calendar)
    if since is None:
        return
    table = alert_conditions.c
    connection.execute(delete(alert_conditions).where(table.kind == AlertKind.SOURCE_DOWN, table.subject == calendar))
    key = f"{calendar}:{since:%Y-%m-%dT%H:%M:%S}"
    message = f"prices of {calendar} are arriving again; they were missing since {since:%Y-%m-%dT%H:%M:%SZ}"
    emit(connection, [AlertEvent(AlertKind.SOURCE_UP, key, message, {"since": since}, calendar=calendar)], at)
