"""Computes the runs that are due from calendars, instants and the runs planned before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from service.market.calendars import Calendars
from service.runs import PlannedRun
from service.vocabulary import Job

SESSION_JOBS: tuple[str, ...] = (Job.PULL, Job.SCORE, Job.FORECAST)


@dataclass(frozen=True, slots=True)
class CalendarView:
    """State of a calendar in the database.

    Attributes:
        name: Its name.
        has_active: Whether a symbol of the watchlist trades on it; otherwise it is only pulled.
        has_new: Whether a symbol on it was never pulled.
        last_pull: Newest scheduled_for of its pull runs, None before the first.
        last_sequence: Highest sequence of the pulls of that instant.
        pull_open: Whether a pull of it is still due or running.
    """

    name: str
    has_active: bool
    has_new: bool
    last_pull: datetime | None
    last_sequence: int = 0
    pull_open: bool = False


@dataclass(frozen=True, slots=True)
class GroupView:
    """State of a training group in the database.

    Attributes:
        name: Its name.
        calendars: Calendars of its pulled, watched symbols.
        last_train: Newest scheduled_for of its train runs, None before the first.
        lacks_network: Whether it can have a network, has none, and has enough pooled dates.
        is_settled: Whether no symbol of the watchlist waits for its first pull, and no training of it is open.
    """

    name: str
    calendars: tuple[str, ...]
    last_train: datetime | None
    lacks_network: bool = False
    is_settled: bool = True


def due_sessions(calendars: Calendars, view: CalendarView, now: datetime) -> list[PlannedRun]:
    """Return the runs of one calendar that are due by an instant, oldest first.

    The newest final session gets all its jobs. Sessions missed since the last pull get a forecast run each,
    which reports `missed`; their pulls and scores are covered by the newest.

    Args:
        calendars: Calendars and their settle delays.
        view: State in the database.
        now: Market time.
    """
    newest = calendars.newest_final(view.name, now)
    if newest is None:
        return []
    jobs = SESSION_JOBS if view.has_active else (Job.PULL,)
    sessions = _sessions_without_pull(calendars, view, newest)
    planned = [
        PlannedRun(
            job,
            view.name,
            calendars.final_at(view.name, session),
            session,
            0,
            session != newest and job != Job.FORECAST,
        )
        for session in sessions
        for job in jobs
    ]
    if not sessions and view.has_new and not view.pull_open and view.last_pull is not None:
        planned = [
            PlannedRun(job, view.name, view.last_pull, newest, view.last_sequence + 1)
            for job in (Job.PULL, Job.FORECAST)
            if job in jobs
        ]
    return planned


def _sessions_without_pull(calendars: Calendars, view: CalendarView, newest: date) -> list[date]:
    """Return the sessions without a pull up to the newest (inclusive).

    Before the first pull this is the newest one alone.
    """
    if view.last_pull is None:
        return [newest]
    oldest = view.last_pull.date() - timedelta(days=3)
    candidates = calendars.sessions(view.name, oldest, newest)
    return [session for session in candidates if calendars.final_at(view.name, session) > view.last_pull]


def due_trainings(calendars: Calendars, groups: Sequence[GroupView], now: datetime, every: int) -> list[PlannedRun]:
    """Return the train runs that are due by an instant.

    A group is trained at first start, again after some sessions, and when it first has enough history.

    Args:
        calendars: Calendars and their settle delays.
        groups: State in the database.
        now: Market time.
        every: Sessions between two trainings, on the calendar of the group that has most of them.
    """
    planned = []
    for group in groups:
        newest = [
            (calendars.final_at(name, session), session)
            for name, session in _newest(calendars, group.calendars, now).items()
        ]
        if not newest:
            continue
        instant, session = max(newest)
        first = group.last_train is None
        again = group.last_train is not None and _has_sessions_since(calendars, group, now, every)
        has_grown = group.lacks_network and group.last_train is not None and instant > group.last_train
        if again or ((first or has_grown) and group.is_settled):
            planned.append(PlannedRun(Job.TRAIN, group.name, instant, session))
    return planned


def _has_sessions_since(calendars: Calendars, group: GroupView, now: datetime, every: int) -> bool:
    """Return whether some calendar of a group has that many final sessions after the session of its last training."""
    assert group.last_train is not None
    trained = max(_newest(calendars, group.calendars, group.last_train).values(), default=group.last_train.date())
    first = trained + timedelta(days=1)  # of any calendar: the same day elsewhere is not a session later
    for name, newest in _newest(calendars, group.calendars, now).items():
        # No further: a service that was off for years counts a few sessions only.
        if len(calendars.sessions(name, first, min(newest, first + timedelta(days=14 + 3 * every)))) >= every:
            return True
    return False


def _newest(calendars: Calendars, names: Sequence[str], now: datetime) -> Mapping[str, date]:
    newest = {name: calendars.newest_final(name, now) for name in names}
    return {name: session for name, session in newest.items() if session is not None}


@dataclass(frozen=True, slots=True)
class MarketEvent:
    """The next instant of replayed market time.

    Attributes:
        at: An open, or a close + settle.
        events_that_day: Events on its UTC day, which share that day's real seconds.
    """

    at: datetime
    events_that_day: int


def next_event(
    calendars: Calendars, names: Sequence[str], now: datetime, record_end: date | None
) -> MarketEvent | None:
    """Return the first open or close + settle after an instant.

    None at the end of the record.

    Args:
        calendars: Calendars and their settle delays.
        names: Names of the calendars.
        now: Market time.
        record_end: Last session of the record (inclusive); None = no end.
    """
    events = sorted({event for name in names for event in _events(calendars, name, now, record_end)})
    if not events:
        return None
    day = events[0].date()
    start = datetime.combine(day, datetime.min.time(), events[0].tzinfo)
    that_day = {e for name in names for e in _events(calendars, name, start - timedelta(microseconds=1), record_end)}
    return MarketEvent(events[0], sum(event.date() == day for event in that_day))


def _events(calendars: Calendars, name: str, after: datetime, record_end: date | None) -> list[datetime]:
    """Return the events of a calendar's next few sessions after an instant."""
    calendar = calendars.get(name)
    first = after.date() - timedelta(days=3)
    found: list[datetime] = []
    for session in calendar.sessions(first, after.date() + timedelta(days=14)):
        if record_end is not None and session > record_end:
            break
        found += [e for e in (calendar.open_at(session), calendars.final_at(name, session)) if e > after]
        if len(found) >= 6:
            break
    return found


def fast_until(calendars: Calendars, names: Sequence[str], start: datetime, sessions: int) -> datetime:
    """Return the instant until which (inclusive) a replay is as fast as possible; the start itself for 0 sessions.

    Args:
        calendars: Calendars and their settle delays.
        names: Names of the calendars; each has that many final sessions by then.
        start: Market time at which the database begins.
        sessions: Number of sessions.
    """
    ends = [start]
    for name in names if sessions else ():
        days = calendars.sessions(
            name, start.date() - timedelta(days=3), start.date() + timedelta(days=14 + 2 * sessions)
        )
        finals = [instant for instant in (calendars.final_at(name, day) for day in days) if instant > start]
        ends += finals[sessions - 1 : sessions]
    return max(ends)
