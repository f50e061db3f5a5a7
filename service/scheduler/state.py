"""Reads the state that the planner needs."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, and_, exists, func, select

from models.config import MIN_TRAINING_DATES
from service.db.tables import instruments, runs
from service.market.instruments import STATISTICAL_GROUPS
from service.runs import LIVE_STATES, last_scheduled
from service.scheduler.due import SESSION_JOBS, CalendarView, GroupView
from service.training.registry.versions import has_network
from service.training.train_job import pooled_dates
from service.vocabulary import Job, SymbolState

_PULLED = instruments.c.active | instruments.c.reference


def active_calendars(connection: Connection) -> tuple[str, ...]:
    """Return the calendars of every symbol that is pulled, sorted."""
    query = select(instruments.c.calendar).where(_PULLED).distinct().order_by(instruments.c.calendar)
    return tuple(connection.execute(query).scalars())


def forecast_calendars(connection: Connection) -> tuple[str, ...]:
    """Return the calendars of the watchlist's symbols, sorted."""
    query = select(instruments.c.calendar).where(instruments.c.active).distinct().order_by(instruments.c.calendar)
    return tuple(connection.execute(query).scalars())


def calendar_views(connection: Connection) -> tuple[CalendarView, ...]:
    """Return one view per calendar in use."""
    facts = connection.execute(
        select(
            instruments.c.calendar,
            func.count().filter(instruments.c.active).label("active"),
            func.count().filter(instruments.c.state == SymbolState.NEW).label("new"),
        )
        .where(_PULLED)
        .group_by(instruments.c.calendar)
        .order_by(instruments.c.calendar)
    ).all()
    last = last_scheduled(connection, Job.PULL)
    views = []
    for fact in facts:
        instant = last.get(fact.calendar)
        same = and_(runs.c.job == Job.PULL, runs.c.scope == fact.calendar)
        sequence = newest_sequence(connection, fact.calendar, instant) or 0
        is_open = connection.execute(select(exists().where(same, runs.c.state.in_(LIVE_STATES)))).scalar_one()
        views.append(CalendarView(fact.calendar, fact.active > 0, fact.new > 0, instant, sequence, bool(is_open)))
    return tuple(views)


def newest_sequence(connection: Connection, calendar: str, instant: datetime | None) -> int | None:
    """Return the highest sequence of a calendar's session jobs at an instant, None without a run."""
    query = select(func.max(runs.c.sequence)).where(
        runs.c.job.in_(SESSION_JOBS), runs.c.scope == calendar, runs.c.scheduled_for == instant
    )
    found: int | None = connection.execute(query).scalar_one()
    return found


@dataclass(frozen=True, slots=True)
class _DateCount:
    """Pooled dates of a group.

    Attributes:
        last_session: Newest session of its active symbols at the time of the count.
        symbols: Number of its active symbols then.
        dates: Number of pooled dates.
    """

    last_session: date | None
    symbols: int
    dates: int


class GroupReader:
    """Reads the training groups.

    A group's pooled dates are counted at most once per pull, because the count reads all bars.
    """

    def __init__(self) -> None:
        self._counted: dict[str, _DateCount] = {}

    def views(self, connection: Connection) -> tuple[GroupView, ...]:
        """Return one view per group that has a symbol of the watchlist with bars."""
        rows = connection.execute(
            select(instruments.c.group, instruments.c.calendar)
            .where(instruments.c.active, instruments.c.first_session.is_not(None))
            .distinct()
            .order_by(instruments.c.group, instruments.c.calendar)
        ).all()
        calendars: dict[str, list[str]] = {}
        for row in rows:
            calendars.setdefault(row.group, []).append(row.calendar)
        last = last_scheduled(connection, Job.TRAIN)
        new = instruments.c.active & (instruments.c.state == SymbolState.NEW)
        awaits_first_pull = bool(connection.execute(select(exists().where(new))).scalar_one())
        open_runs = select(runs.c.scope).where(runs.c.job == Job.TRAIN, runs.c.state.in_(LIVE_STATES))
        in_training = set(connection.execute(open_runs).scalars())
        return tuple(
            GroupView(
                name,
                tuple(names),
                last.get(name),
                self._lacks_network(connection, name),
                not awaits_first_pull and name not in in_training,
            )
            for name, names in calendars.items()
        )

    def _lacks_network(self, connection: Connection, group: str) -> bool:
        if group in STATISTICAL_GROUPS or has_network(connection, group):
            return False
        newest = connection.execute(
            select(func.max(instruments.c.last_session), func.count()).where(
                instruments.c.group == group, instruments.c.active
            )
        ).one()
        counted = self._counted.get(group)
        if counted is None or (counted.last_session, counted.symbols) != tuple(newest):
            counted = _DateCount(newest[0], newest[1], pooled_dates(connection, group))
            self._counted[group] = counted
        return counted.dates >= MIN_TRAINING_DATES
