"""Forecasts that were not issued in time, and forecasts that are stale."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, func, select

from service.alerts.outbox import AlertEvent, Instants, emit
from service.alerts.subscriptions import read_subscriptions
from service.db.tables import editions, instruments, served_forecasts
from service.vocabulary import AlertKind, Mode

STALE_AFTER = timedelta(hours=2)
"""How long after the next forecast is due the newest one is stale."""


def emit_missed(connection: Connection, calendar: str, session: date, reasons: Mapping[str, str], at: Instants) -> None:
    """Emit the symbols without a forecast from a session.

    Args:
        connection: The transaction that ends the forecast run.
        calendar: The calendar.
        session: The as_of of the run.
        reasons: By symbol why it has none.
        at: The instants.
    """
    events = [
        AlertEvent(
            AlertKind.FORECAST_MISSED,
            f"{symbol}:{session}",
            f"{symbol}: no forecast from {session}: {reason}",
            {"as_of": session, "reason": reason},
            symbol=symbol,
            calendar=calendar,
        )
        for symbol, reason in sorted(reasons.items())
    ]
    if events:
        emit(connection, events, at)


def emit_failed(connection: Connection, calendar: str, session: date, error: str, at: Instants) -> None:
    """Emit the symbols of a failed forecast run that have no forecast from its session."""
    if not read_subscriptions(connection, AlertKind.FORECAST_MISSED):
        return
    published = (
        select(served_forecasts.c.symbol)
        .join(editions, editions.c.number == served_forecasts.c.edition)
        .where(editions.c.calendar == calendar, editions.c.as_of == session, editions.c.mode != Mode.BACKFILL)
    )
    query = select(instruments.c.symbol).where(
        instruments.c.active, instruments.c.calendar == calendar, instruments.c.symbol.not_in(published)
    )
    reason = f"the run failed: {error}"
    emit_missed(connection, calendar, session, {symbol: reason for symbol in connection.execute(query).scalars()}, at)


def emit_stale(
    connection: Connection, calendars: Sequence[str], next_due: Callable[[str, date], datetime], at: Instants
) -> None:
    """Emit the calendars whose newest edition is stale: once per edition.

    Args:
        connection: A write transaction.
        calendars: Calendars that are forecast.
        next_due: Returns when the forecast after an as_of is due, by calendar and as_of.
        at: The instants.
    """
    if not calendars or not read_subscriptions(connection, AlertKind.FORECAST_STALE):
        return
    query = (
        select(editions.c.calendar, func.max(editions.c.as_of))
        .where(editions.c.calendar.in_(calendars), editions.c.mode != Mode.BACKFILL)
        .group_by(editions.c.calendar)
    )
    events = []
    for calendar, as_of in connection.execute(query):
        stale_at = next_due(calendar, as_of) + STALE_AFTER
        if at.market_at >= stale_at:
            message = (
                f"the newest forecasts of {calendar} are from {as_of} and stale since {stale_at:%Y-%m-%dT%H:%M:%SZ}"
            )
            detail = {"as_of": as_of, "stale_since": stale_at}
            events.append(
                AlertEvent(AlertKind.FORECAST_STALE, f"{calendar}:{as_of}", message, detail, calendar=calendar)
            )
    if events:
        emit(connection, events, at)
