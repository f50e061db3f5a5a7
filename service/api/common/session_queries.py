"""When a session's bar is final, and when the next forecast is due, from the stored sessions."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, select

from service.db.tables import sessions
from service.settings import Settings

STALE_AFTER = timedelta(hours=2)
"""How long after the next due time an answer is still fresh."""

_STEPS = 3
"""Sessions after as_of that a forecast is aimed at."""

CONTINUOUS = ("24/7", "24/5")
"""Calendars that open the moment they close; their settle delay is a setting of its own."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The instants around a session.

    Attributes:
        final_at: Aware UTC instant at which its bar is final (close + settle); None where it is not stored.
        next_due_at: Aware UTC instant at which the next open session's bar is final, which is when its
            forecast run is due; None where no later session is stored.
        approximate: Whether the session, or one of the three after it, is assumed Monday to Friday because the
            exchange's own calendar is not known there.
    """

    final_at: datetime | None
    next_due_at: datetime | None
    approximate: bool = False

    @property
    def stale_after(self) -> datetime | None:
        """Aware UTC instant after which (exclusive) an answer as of this session is stale."""
        return None if self.next_due_at is None else self.next_due_at + STALE_AFTER


def timing(connection: Connection, settings: Settings, calendar: str, session: date) -> Timing:
    """The instants around a session of a calendar."""
    query = (
        select(sessions.c.session, sessions.c.close_at, sessions.c.approximate)
        .where(sessions.c.calendar == calendar, sessions.c.session >= session, sessions.c.state != "closed")
        .order_by(sessions.c.session)
        .limit(1 + _STEPS)
    )
    rows = list(connection.execute(query))
    settle = settings.settle(continuous=calendar in CONTINUOUS)
    own = next((row for row in rows if row.session == session), None)
    following = next((row for row in rows if row.session > session), None)
    return Timing(
        None if own is None else own.close_at + settle,
        None if following is None else following.close_at + settle,
        any(row.approximate for row in rows),
    )
