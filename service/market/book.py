"""The calendars a service works with, and the instants that follow from its settings."""

from datetime import date, datetime, timedelta

from service.market.calendar import get_calendar
from service.market.table import MarketCalendar
from service.settings import Settings

_FIRST = date(1990, 1, 1)
_AHEAD = timedelta(days=400)


class CalendarBook:
    """Calendars by name, wide enough for the market time at hand.

    Args:
        settings: Settle delays and the grace of continuous calendars.
        newest: A market-time instant already known; later ones widen the bounds by themselves.
    """

    def __init__(self, settings: Settings, newest: datetime) -> None:
        self._settings = settings
        self._last = (newest + _AHEAD).date()

    def widen(self, market_now: datetime) -> None:
        """Make sure sessions a year past an instant are covered."""
        needed = (market_now + _AHEAD / 2).date()
        if needed > self._last:
            self._last = (market_now + _AHEAD).date()

    def get(self, name: str) -> MarketCalendar:
        """The calendar of that name."""
        return get_calendar(name, _FIRST, self._last)

    def settle(self, name: str) -> timedelta:
        """How long after a session's close its bar is final."""
        return self._settings.settle(continuous=self.get(name).continuous)

    def final_at(self, name: str, session: date) -> datetime:
        """When the bar of a session is final: the due instant of the runs that belong to it."""
        return self.get(name).final_at(session, self.settle(name))

    def newest_final(self, name: str, instant: datetime) -> date | None:
        """The newest session whose bar is final at an instant."""
        return self.get(name).newest_final(instant, self.settle(name))

    def targets(self, name: str, as_of: date, horizon: int) -> tuple[date, ...]:
        """The sessions of T, T+1, ... after as_of."""
        calendar = self.get(name)
        return tuple(calendar.next(as_of, step) for step in range(1, horizon + 1))

    def deadline(self, name: str, as_of: date) -> datetime:
        """Instant before which a forecast from as_of is on time (exclusive).

        T's open; on continuous calendars, where T opens as T-1 closes, settle and grace later.
        """
        calendar = self.get(name)
        opens = calendar.open_at(calendar.next(as_of))
        return opens + self.settle(name) + self._settings.grace if calendar.continuous else opens
