"""The sessions table: expected sessions with their opens and closes, and unscheduled closures.

A closed session does not count in windows, steps or due times.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date

import numpy as np
from sqlalchemy import Connection, bindparam, func, select, update

from service.db.bulk.row_loader import DriverValue, driver_days, driver_instants, write_rows
from service.db.tables import forecasts, instruments, scores, sessions
from service.market.session_calendar import MarketCalendar, SessionTable
from service.vocabulary import SessionState

_COLUMNS = ("calendar", "session", "open_at", "close_at", "state", "approximate")

# Built once: building a statement takes longer than sending it.
_IN_STATE = select(sessions.c.session).where(
    sessions.c.calendar == bindparam("calendar"),
    sessions.c.session.between(bindparam("first"), bindparam("last")),
    sessions.c.state == bindparam("state"),
)


def ensure_sessions(connection: Connection, calendar: MarketCalendar, first: date, last: date) -> int:
    """Insert missing sessions with their opens and closes; existing rows do not change.

    `refresh_sessions` updates assumed sessions that the calendar covers by now.

    Args:
        connection: An open write transaction.
        calendar: The calendar; its bounds must hold both dates.
        first: First date (inclusive).
        last: Last date (inclusive).

    Returns:
        The number of rows written.
    """
    table = calendar.table(first, last)
    span = (sessions.c.calendar == calendar.name, sessions.c.session.between(first, last))
    # A wrong assumption stays in the table, closed, and must not count as a missing session.
    wrong = sessions.c.approximate & (sessions.c.state == SessionState.CLOSED)
    count = connection.execute(select(func.count()).select_from(sessions).where(*span, ~wrong)).scalar_one()
    if count >= len(table):
        return 0
    stored = np.array(connection.execute(select(sessions.c.session).where(*span)).scalars().all(), "datetime64[D]")
    missing = ~np.isin(table.sessions, stored)
    absent = SessionTable(table.sessions[missing], table.open_at[missing], table.close_at[missing])
    return write_rows(connection, sessions, _COLUMNS, _rows(connection, calendar, absent))


def refresh_sessions(connection: Connection, calendar: MarketCalendar, first: date, last: date) -> int:
    """Update assumed sessions from the calendar, except those with a scored forecast.

    A later release of the calendar library covers more dates: assumed hours are corrected, and a weekday that is a
    holiday is marked closed (forecasts of it are void). Sessions that a score used never change. `ensure_sessions`
    inserts the missing ones.

    Args:
        connection: An open write transaction.
        calendar: The calendar; its bounds must hold both dates.
        first: First date (inclusive).
        last: Last date (inclusive).

    Returns:
        The number of rows changed.
    """
    exact = calendar.exactness
    if exact.first is None or exact.last is None:
        return 0
    found = _assumed_sessions(connection, calendar.name, max(first, exact.first), min(last, exact.last))
    assumed = [day for day in found if exact.covers(day)]
    if not assumed:
        return 0
    table = calendar.table(assumed[0], assumed[-1])
    updates = {
        day: {"open_at": opens.replace(tzinfo=UTC), "close_at": closes.replace(tzinfo=UTC), "approximate": False}
        for day, opens, closes in zip(
            table.sessions.tolist(), table.open_at.tolist(), table.close_at.tolist(), strict=True
        )
    }
    for day in assumed:
        is_session = (sessions.c.calendar == calendar.name, sessions.c.session == day)
        connection.execute(update(sessions).where(*is_session).values(updates.get(day, {"state": SessionState.CLOSED})))
    return len(assumed)


def _assumed_sessions(connection: Connection, calendar: str, first: date, last: date) -> Sequence[date]:
    """Return the assumed open sessions without a scored forecast, oldest first."""
    scored = (
        select(scores.c.id)
        .join(forecasts, forecasts.c.id == scores.c.forecast_id)
        .join(instruments, instruments.c.symbol == forecasts.c.symbol)
        .where(forecasts.c.target_session == sessions.c.session, instruments.c.calendar == calendar)
    )
    query = select(sessions.c.session).where(
        sessions.c.calendar == calendar, sessions.c.session.between(first, last), sessions.c.approximate,
        sessions.c.state == SessionState.EXPECTED, ~scored.exists(),
    )  # fmt: skip
    return connection.execute(query.order_by(sessions.c.session)).scalars().all()


def _rows(connection: Connection, calendar: MarketCalendar, table: SessionTable) -> list[tuple[DriverValue, ...]]:
    days = table.sessions.astype("datetime64[D]")
    approximate = calendar.exactness.assumed(days)
    opens, closes = driver_instants(connection, table.open_at), driver_instants(connection, table.close_at)
    state = SessionState.EXPECTED.value
    columns = zip(driver_days(days), opens, closes, approximate.tolist(), strict=True)
    return [
        (calendar.name, day, open_at, close_at, state, is_assumed) for day, open_at, close_at, is_assumed in columns
    ]


def mark_closed(connection: Connection, calendar: str, closed: Sequence[date]) -> int:
    """Mark sessions as closed; forecasts, windows and due times skip them.

    Args:
        connection: An open write transaction.
        calendar: Calendar name.
        closed: The sessions; one that is closed already does not change.

    Returns:
        The number of rows changed.
    """
    return _mark(connection, calendar, closed, SessionState.EXPECTED, SessionState.CLOSED)


def reopen(connection: Connection, calendar: str, opened: Sequence[date]) -> int:
    """Reopen closed sessions after a late bar; other sessions in the list do not change.

    Returns:
        The number of rows changed.
    """
    return _mark(connection, calendar, opened, SessionState.CLOSED, SessionState.EXPECTED)


def closed_sessions(connection: Connection, since: date) -> Mapping[str, frozenset[date]]:
    """Return the closed sessions from a date on (inclusive) by calendar in use; calendars without any are left out."""
    # By calendar, so that the primary key finds the few rows: every step of the scheduler runs this query.
    used = select(instruments.c.calendar).distinct()
    query = select(sessions.c.calendar, sessions.c.session).where(
        sessions.c.calendar.in_(used), sessions.c.session >= since, sessions.c.state == SessionState.CLOSED
    )
    found: defaultdict[str, set[date]] = defaultdict(set)
    for name, day in connection.execute(query):
        found[name].add(day)
    return {name: frozenset(days) for name, days in found.items()}


def _mark(
    connection: Connection, calendar: str, days: Sequence[date], before: SessionState, after: SessionState
) -> int:
    if not days:
        return 0
    span = {"calendar": calendar, "first": min(days), "last": max(days), "state": before}
    found = connection.execute(_IN_STATE, span).scalars().all()
    requested = set(days) if found else set()
    marked = [day for day in found if day in requested]
    for day in marked:
        is_session = (sessions.c.calendar == calendar, sessions.c.session == day)
        connection.execute(update(sessions).where(*is_session).values(state=after))
    return len(marked)
