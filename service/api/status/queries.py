"""Queries of the status: few rows each, so that it can be read every second."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, and_, case, exists, func, literal, or_, select

from service.api.common.rows import EditionRow, RunRow, columns_of, read_row, read_rows
from service.db.tables import editions, instruments, model_versions, run_outcomes, runs, served_forecasts, sessions
from service.db.types import Json
from service.runs import LIVE_STATES
from service.vocabulary import RANDOM_WALK, Job, Mode, RunState, SessionState

_ON_TIME = editions.c.mode != Mode.BACKFILL
_WARNED = runs.c.warnings != literal([], Json)
"""A run with a warning: it continues, and its warnings say what is wrong."""
_PULLED_CALENDARS = select(instruments.c.calendar).where(instruments.c.active | instruments.c.reference)
_GROUPS = select(instruments.c.group).where(instruments.c.active)
_LAST_DAYS = timedelta(days=14)
"""Days before the end of a record that contain the last session of every calendar."""

RETRIED = ("transient", "deferred", "failed")
"""Outcomes of a pull that report a fault of the source."""


def read_newest_on_time_edition(connection: Connection) -> EditionRow | None:
    """Return the newest edition that is not a backfill, None without any."""
    query = select(*columns_of(editions, EditionRow)).where(_ON_TIME).order_by(editions.c.number.desc()).limit(1)
    return read_row(connection, EditionRow, query)


def read_calendar_editions(connection: Connection) -> list[EditionRow]:
    """Return the newest on-time edition of each calendar with a symbol on the watchlist, by calendar."""
    used = select(instruments.c.calendar).where(instruments.c.active).distinct().subquery()
    other = editions.alias("other")
    newest = (
        select(other.c.number)
        .where(other.c.calendar == used.c.calendar, other.c.mode != Mode.BACKFILL)
        .order_by(other.c.as_of.desc(), other.c.number.desc())
        .limit(1)
        .correlate(used)
        .scalar_subquery()
    )
    query = select(*columns_of(editions, EditionRow)).select_from(used.join(editions, editions.c.number == newest))
    return read_rows(connection, EditionRow, query.order_by(editions.c.calendar))


def read_active_calendars(connection: Connection) -> list[str]:
    """Return the calendars with a symbol on the watchlist."""
    return list(connection.execute(select(instruments.c.calendar).where(instruments.c.active).distinct()).scalars())


def read_forecast_count(connection: Connection) -> int:
    """Return the number of symbols on the watchlist with an on-time forecast."""
    served = served_forecasts.join(editions, editions.c.number == served_forecasts.c.edition)
    ever = exists().select_from(served).where(served_forecasts.c.symbol == instruments.c.symbol, _ON_TIME)
    query = select(func.count()).select_from(instruments).where(instruments.c.active, ever)
    return int(connection.execute(query).scalar_one())


def read_running_training(connection: Connection, machine_now: datetime) -> RunRow | None:
    """Return the training that a live scheduler works on, the newest of several."""
    conditions = (runs.c.job == Job.TRAIN, runs.c.state == RunState.RUNNING, runs.c.lease_until > machine_now)
    query = select(*columns_of(runs, RunRow)).where(*conditions).order_by(runs.c.id.desc()).limit(1)
    return read_row(connection, RunRow, query)


def has_network(connection: Connection, group: str) -> bool:
    """Return whether any network was ever trained for a group."""
    networks = exists().where(model_versions.c.group == group, model_versions.c.forecaster != RANDOM_WALK)
    return bool(connection.execute(select(networks)).scalar_one())


def read_faulty_pulls(connection: Connection) -> list[RunRow]:
    """Return the newest faulty pull of each calendar in use, if it is not done, oldest first.

    A pull that has just started is ignored: the one before it counts. A pull is faulty if it waits, or if the source
    failed to answer for any of its symbols; a pull that failed for another reason is not.
    """
    started = select(runs.c.id).where(runs.c.state.in_(LIVE_STATES), runs.c.error.is_(None), ~_WARNED)
    newest = select(func.max(runs.c.id)).where(runs.c.job == Job.PULL, ~runs.c.id.in_(started)).group_by(runs.c.scope)
    unanswered = exists().where(run_outcomes.c.run_id == runs.c.id, run_outcomes.c.state.in_(RETRIED)).correlate(runs)
    query = (
        select(*columns_of(runs, RunRow))
        .where(runs.c.id.in_(newest), or_(runs.c.error.is_not(None), _WARNED), runs.c.state != RunState.DONE)
        .where(or_(runs.c.state == RunState.WAITING, unanswered), runs.c.scope.in_(_PULLED_CALENDARS))
        .order_by(runs.c.started_at, runs.c.id)
    )
    return read_rows(connection, RunRow, query)


def read_fault_start(connection: Connection, pull: RunRow) -> datetime | None:
    """Return the machine time at which the first pull of a scope started after its last done one."""
    done = select(func.max(runs.c.id)).where(
        runs.c.job == Job.PULL, runs.c.scope == pull.scope, runs.c.id < pull.id, runs.c.state == RunState.DONE
    )
    query = select(func.min(runs.c.started_at)).where(
        runs.c.job == Job.PULL,
        runs.c.scope == pull.scope,
        runs.c.id <= pull.id,
        runs.c.id > func.coalesce(done.scalar_subquery(), 0),
    )
    started_at: datetime | None = connection.execute(query).scalar_one_or_none()
    return started_at


def read_next_try(connection: Connection, pulls: Sequence[RunRow]) -> datetime | None:
    """Return the earliest instant at which one of some pulls is tried again; None if none of them waits."""
    at = case((runs.c.state == RunState.WAITING, runs.c.wait_until), else_=runs.c.not_before)
    query = select(func.min(at)).where(
        runs.c.id.in_([pull.id for pull in pulls]), runs.c.state.in_((RunState.WAITING, RunState.DUE))
    )
    next_try_at: datetime | None = connection.execute(query).scalar_one_or_none()
    return next_try_at


def read_outcome_states(connection: Connection, pulls: Sequence[RunRow]) -> frozenset[str]:
    """Return the states of the outcomes of some pulls."""
    query = select(run_outcomes.c.state).where(run_outcomes.c.run_id.in_([pull.id for pull in pulls])).distinct()
    return frozenset(connection.execute(query).scalars())


def read_lasting_failure(connection: Connection) -> RunRow | None:
    """Return the newest failed run without a later done run of its job and scope; unused scopes are ignored."""
    later = runs.alias("later")
    succeeded = exists().where(
        later.c.job == runs.c.job,
        later.c.scope == runs.c.scope,
        later.c.state == RunState.DONE,
        or_(
            later.c.scheduled_for > runs.c.scheduled_for,
            and_(later.c.scheduled_for == runs.c.scheduled_for, later.c.sequence > runs.c.sequence),
        ),
    )
    used = or_(runs.c.scope.in_(_PULLED_CALENDARS), runs.c.scope.in_(_GROUPS))
    query = select(*columns_of(runs, RunRow)).where(runs.c.state == RunState.FAILED, used, ~succeeded)
    return read_row(connection, RunRow, query.order_by(runs.c.id.desc()).limit(1))


def read_last_closes(connection: Connection, record_end: date) -> Sequence[tuple[str, date, datetime]]:
    """Return the stored sessions around the end of a record, of calendars in use: (calendar, day, close)."""
    table = sessions.c
    query = select(table.calendar, table.session, table.close_at).where(
        table.calendar.in_(_PULLED_CALENDARS),
        table.session >= record_end - _LAST_DAYS,
        table.state != SessionState.CLOSED,
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]
