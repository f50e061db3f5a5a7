"""The sessions table: expected sessions with their opens and closes, and unscheduled closures.

A closed session does not count in windows, steps or due times.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, timedelta

import numpy as np
from sqlalchemy import Connection, func, select, update

from service.db.bulk.row_loader import DriverValue, driver_days, driver_instants, write_rows
from service.db.tables import forecasts, instruments, scores, sessions
from service.market.session_calendar import MarketCalendar, SessionTable
from service.vocabulary import SessionState

EXPECTED, CLOSED = SessionState.EXPECTED, SessionState.CLOSED
_COLUMNS = ("calendar", "session", "open_at", "close_at", "state", "approximate")

SettleOf = Callable[[str], timedelta]
"""Calendar name -> how long after its close a bar is final."""


def ensure_sessions(connection: Connection, calendar: MarketCalendar, first: date, last: date) -> int:
    """Insert missing sessions with their opens and closes; existing ones stay.

    `refresh_sessions` updates assumed sessions that the calendar knows better now.

    Args:
        connection: An open write transaction.
        calendar: The calendar; its bounds must hold both dates.
        first: First date (inclusive).
        last: Last date (inclusive).

    Returns:
        How many were written.
    """
    table = calendar.table(first, last)
    span = (sessions.c.calendar == calendar.name, sessions.c.session.between(first, last))
    # A wrong assumption stays in the table, closed, and must not count as a missing session.
    wrong = sessions.c.approximate & (sessions.c.state == CLOSED)
    count = connection.execute(select(func.count()).select_from(sessions).where(*span, ~wrong)).scalar_one()
    if count >= len(table):
        return 0
    stored = np.array(connection.execute(select(sessions.c.session).where(*span)).scalars().all(), "datetime64[D]")
    missing = ~np.isin(table.sessions, stored)
    lacking = SessionTable(table.sessions[missing], table.open_at[missing], table.close_at[missing])
    return write_rows(connection, sessions, _COLUMNS, _rows(connection, calendar, lacking))


def refresh_sessions(connection: Connection, calendar: MarketCalendar, first: date, last: date) -> int:
    """Update assumed sessions from the calendar; those with a scored forecast stay.

    A later release of the calendar library knows more: assumed hours are corrected, and a weekday that is a holiday is
    marked closed (forecasts of it are void). Sessions that a score used are never changed. `ensure_sessions`
    inserts the missing ones.

    Args:
        connection: An open write transaction.
        calendar: The calendar; its bounds must hold both dates.
        first: First date (inclusive).
        last: Last date (inclusive).

    Returns:
        How many changed.
    """
    exact = calendar.exactness
    if exact.first is None or exact.last is None:
        return 0
    guesses = _guesses(connection, calendar.name, max(first, exact.first), min(last, exact.last))
    if not guesses:
        return 0
    table = calendar.table(guesses[0], guesses[-1])
    known = {
        day: {"open_at": opens.replace(tzinfo=UTC), "close_at": closes.replace(tzinfo=UTC), "approximate": False}
        for day, opens, closes in zip(
            table.sessions.tolist(), table.open_at.tolist(), table.close_at.tolist(), strict=True
        )
    }
    for day in guesses:
        mine = (sessions.c.calendar == calendar.name, sessions.c.session == day)
        connection.execute(update(sessions).where(*mine).values(known.get(day, {"state": CLOSED})))
    return len(guesses)


def _guesses(connection: Connection, calendar: str, first: date, last: date) -> Sequence[date]:
    """Assumed open sessions without a scored forecast, oldest first."""
    scored = (
        select(scores.c.id)
        .join(forecasts, forecasts.c.id == scores.c.forecast_id)
        .join(instruments, instruments.c.symbol == forecasts.c.symbol)
        .where(forecasts.c.target_session == sessions.c.session, instruments.c.calendar == calendar)
    )
    query = select(sessions.c.session).where(
        sessions.c.calendar == calendar, sessions.c.session.between(first, last), sessions.c.approximate,
        sessions.c.state == EXPECTED, ~scored.exists(),
    )  # fmt: skip
    return connection.execute(query.order_by(sessions.c.session)).scalars().all()


def _rows(connection: Connection, calendar: MarketCalendar, table: SessionTable) -> list[tuple[DriverValue, ...]]:
    known_first, known_last = calendar.exactness.first, calendar.exactness.last
    days = table.sessions.astype("datetime64[D]")
    approximate = np.ones(len(days), bool)
    if known_first is not None and known_last is not None:
        approximate = (days < np.datetime64(known_first)) | (days > np.datetime64(known_last))
    opens, closes = driver_instants(connection, table.open_at), driver_instants(connection, table.close_at)
    columns = zip(driver_days(days), opens, closes, approximate.tolist(), strict=True)
    return [(calendar.name, day, open_at, close_at, EXPECTED, guess) for day, open_at, close_at, guess in columns]


def mark_closed(connection: Connection, calendar: str, closed: Sequence[date]) -> int:
    """Mark sessions as closed.

    Args:
        connection: An open write transaction.
        calendar: Calendar name.
        closed: The sessions; marking one again does nothing.

    Returns:
        How many changed.
    """
    return _mark(connection, calendar, closed, EXPECTED, CLOSED)


def reopen(connection: Connection, calendar: str, opened: Sequence[date]) -> int:
    """Reopen closed sessions after a late bar; others in the list stay.

    Returns:
        How many changed.
    """
    return _mark(connection, calendar, opened, CLOSED, EXPECTED)


def closed_sessions(connection: Connection, since: date) -> Mapping[str, frozenset[date]]:
    """Return the closed sessions from a date on (inclusive) by calendar in use; calendars without any are left out."""
    # By calendar, so that the primary key finds the few rows: every step of the scheduler runs this query.
    used = select(instruments.c.calendar).distinct()
    query = select(sessions.c.calendar, sessions.c.session).where(
        sessions.c.calendar.in_(used), sessions.c.session >= since, sessions.c.state == CLOSED
    )
    found: defaultdict[str, set[date]] = defaultdict(set)
    for name, day in connection.execute(query):
        found[name].add(day)
    return {name: frozenset(days) for name, days in found.items()}


def _mark(connection: Connection, calendar: str, days: Sequence[date], before: str, after: str) -> int:
    if not days:
        return 0
    span = sessions.c.session.between(min(days), max(days))
    chosen = select(sessions.c.session).where(sessions.c.calendar == calendar, span, sessions.c.state == before)
    found = connection.execute(chosen).scalars().all()
    wanted = set(days) if found else set()
    marked = [day for day in found if day in wanted]
    for day in marked:
        mine = (sessions.c.calendar == calendar, sessions.c.session == day)
        connection.execute(update(sessions).where(*mine).values(state=after))
    return len(marked)
