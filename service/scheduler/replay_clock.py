"""Moves replayed market time from event to event at a configured pace.

Only the active scheduler moves it. A record that grows, such as a folder to which bars are added, is followed: at its
end it is read again from time to time, and market time moves on.
"""

import time
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, select, update

from service.db.tables import market_clock, stamp
from service.errors import SourceError
from service.runs import is_busy
from service.runtime.context import ServiceContext
from service.runtime.database_identity import follow_record
from service.scheduler.due import MarketEvent, fast_until, next_event
from service.scheduler.leader import holds_lead
from service.scheduler.plan import plan_due
from service.scheduler.state import GroupReader, active_calendars

FOLLOW_SECONDS = 30.0
"""Real seconds between two looks at a record that has ended: a folder of a thousand files is listed in one."""


class ReplayMover:
    """Moves the stored market time.

    Args:
        context: The service's parts; its clock setting holds the pace.
        scheduler_id: Id of the scheduler.
        groups: Reader of the training groups.
        follow_seconds: Real seconds between two looks at a record that has ended.
    """

    def __init__(
        self,
        context: ServiceContext,
        scheduler_id: str,
        groups: GroupReader,
        follow_seconds: float = FOLLOW_SECONDS,
    ) -> None:
        self._context = context
        self._scheduler_id = scheduler_id
        self._groups = groups
        self._clock = context.settings.market_clock
        self._fast_until: tuple[tuple[str, ...], datetime] | None = None
        self._moved_at = time.monotonic()
        self._ended = False
        self._follow_seconds = follow_seconds
        self._followed_at = float("-inf")
        self._announced: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether the record has no further session."""
        return self._ended

    def seconds_left(self, event: MarketEvent) -> float:
        """Return the real seconds until an event is due.

        The events of a day share that day's seconds.
        """
        return self._moved_at + self._clock.speed / event.events_that_day - time.monotonic()

    def move(self) -> float | None:
        """Move to the next event if it is due.

        Returns:
            0 after a move, else the real seconds to wait; None while a run holds the clock, while another scheduler
            leads, or at the end of the record.
        """
        with self._context.database.reading() as connection:
            if is_busy(connection):
                self._moved_at, self._announced = time.monotonic(), None
                return None
            now, record_end = read_clock(connection)
            calendars = active_calendars(connection)
            fast = self._fast(connection, calendars)
        event = next_event(self._context.calendars, calendars, now, record_end)
        if event is None:
            if self._has_grown(record_end):
                return 0.0
            self._end(now, bool(calendars), record_end)
            return None
        self._ended = False
        left = 0.0 if event.at <= fast else self.seconds_left(event)
        if left > 0:
            self._announce(event, left)
            return left
        with self._context.database.transaction() as connection:
            if not holds_lead(connection, self._scheduler_id, self._context.machine):
                return None
            # Another scheduler may have moved the clock. An instant is left only after its runs are planned.
            current, _ = read_clock(connection)
            plan_due(self._context, connection, self._groups, current)
            if current != now or is_busy(connection):
                return None
            connection.execute(update(market_clock).values(now=event.at, next_move_at=None))
        self._context.calendars.widen(event.at)
        self._moved_at = time.monotonic()
        return 0.0

    def _has_grown(self, record_end: date | None) -> bool:
        """Look whether the record reaches further than before, and store its new end."""
        if time.monotonic() < self._followed_at + self._follow_seconds:
            return False
        self._followed_at = time.monotonic()
        try:
            self._context.source.begin_run()
            record = self._context.source.record()
        except (SourceError, OSError):  # the pull reports what is wrong with it
            return False
        with self._context.database.transaction() as connection:
            if not holds_lead(connection, self._scheduler_id, self._context.machine):
                return False
            return follow_record(connection, record) != record_end

    def _fast(self, connection: Connection, calendars: tuple[str, ...]) -> datetime:
        """Return the end of the fast start; computed again when the calendars change."""
        if self._fast_until is None or self._fast_until[0] != calendars:
            start = connection.execute(select(stamp.c.start_at)).scalar_one()
            until = fast_until(self._context.calendars, calendars, start, self._clock.fast_sessions)
            self._fast_until = (calendars, until)
        return self._fast_until[1]

    def _announce(self, event: MarketEvent, seconds: float) -> None:
        """Store when the clock moves next, once per event, so that the API can count down."""
        if self._announced == event.at:
            return
        with self._context.database.transaction() as connection:
            if not holds_lead(connection, self._scheduler_id, self._context.machine):
                return
            at = self._context.machine.now(connection) + timedelta(seconds=seconds)
            connection.execute(update(market_clock).values(next_move_at=at))
        self._announced = event.at

    def _end(self, now: datetime, has_calendars: bool, record_end: date | None) -> None:
        if has_calendars and not self._ended:
            self._ended = True
            sentence = f"the record ends with {record_end}; market time does not move, the service keeps serving"
            self._context.reporter.market_time(now, sentence)


def read_clock(connection: Connection) -> tuple[datetime, date | None]:
    """Return replayed market time and the record's last session."""
    row = connection.execute(select(market_clock.c.now, market_clock.c.record_end)).one()
    return row.now, row.record_end
