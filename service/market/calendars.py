"""Calendars by name, with the due instants and deadlines that the settings define."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from service.market.exchange_calendar import get_calendar
from service.market.session_calendar import MarketCalendar
from service.settings import Settings

_FIRST = date(1990, 1, 1)
_AHEAD = timedelta(days=400)


class Calendars:
    """Calendars by name, with bounds that cover the current market time.

    Args:
        settings: Settle delays and the grace of continuous calendars.
        newest: Aware UTC market time that the bounds must cover; `widen` moves them later.
    """

    def __init__(self, settings: Settings, newest: datetime) -> None:
        self._settings = settings
        self._last = (newest + _AHEAD).date()
        self._closed: Mapping[str, frozenset[date]] = {}

    def set_closed(self, closed: Mapping[str, frozenset[date]]) -> None:
        """Set the unscheduled closures by calendar: they do not count as steps, and nothing is due on them."""
        self._closed = closed

    def is_closed(self, name: str, session: date) -> bool:
        """Return whether a session is an unscheduled closure."""
        return session in self._closed.get(name, ())

    def widen(self, market_now: datetime) -> None:
        """Widen the bounds to a year after an instant."""
        needed = (market_now + _AHEAD / 2).date()
        if needed > self._last:
            self._last = (market_now + _AHEAD).date()

    def get(self, name: str) -> MarketCalendar:
        """Return the calendar of a name."""
        return get_calendar(name, _FIRST, self._last)

    def settle(self, name: str) -> timedelta:
        """Return how long after a session's close its bar is final."""
        return self._settings.settle(self.get(name).name)

    def final_at(self, name: str, session: date) -> datetime:
        """Return when the bar of a session is final: the due instant of its runs."""
        return self.get(name).final_at(session, self.settle(name))

    def newest_final(self, name: str, instant: datetime) -> date | None:
        """Return the newest open session whose bar is final at an instant."""
        calendar = self.get(name)
        session = calendar.newest_final(instant, self.settle(name))
        while session is not None and self.is_closed(name, session):
            session = calendar.previous(session)
        return session

    def sessions(self, name: str, first: date, last: date) -> list[date]:
        """Return the open sessions from `first` to `last`, both inclusive, oldest first."""
        return [day for day in self.get(name).sessions(first, last) if not self.is_closed(name, day)]

    def next(self, name: str, session: date) -> date:
        """Return the first open session strictly after a date."""
        following = self.get(name).next(session)
        while self.is_closed(name, following):
            following = self.get(name).next(following)
        return following

    def targets(self, name: str, as_of: date, horizon: int) -> tuple[date, ...]:
        """Return the sessions T, T+1, ... after as_of, one for each of `horizon` steps."""
        days = [as_of]
        for _ in range(horizon):
            days.append(self.next(name, days[-1]))
        return tuple(days[1:])

    def deadline(self, name: str, as_of: date) -> datetime:
        """Return the instant before which a forecast from as_of is on time (exclusive).

        It is the open of T. On continuous calendars, where T opens as T-1 closes, settle delay and grace are added.
        """
        calendar = self.get(name)
        opens = calendar.open_at(self.next(name, as_of))
        return opens + self.settle(name) + self._settings.grace if calendar.continuous else opens
