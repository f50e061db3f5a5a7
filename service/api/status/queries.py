"""Queries of the status: few rows each, so that it can be read every second."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, exists, func, literal, or_, select

from service.db.tables import editions, instruments, model_versions, run_outcomes, runs, served_forecasts, sessions
from service.db.types import Json
from service.runs import LIVE_STATES

_ON_TIME = editions.c.mode != "backfill"
_RANDOM_WALK = "random_walk"
_WARNED = runs.c.warnings != literal([], Json)
"""A run with a warning: it continues, and its warnings say what is wrong."""
_PULLED_CALENDARS = select(instruments.c.calendar).where(instruments.c.active | instruments.c.reference)
_GROUPS = select(instruments.c.group).where(instruments.c.active)
_LAST_DAYS = timedelta(days=14)
"""Days before the end of a record that contain the last session of every calendar."""

TRIED_AGAIN = ("transient", "deferred", "failed")
"""Outcomes of a pull that report a fault of the source."""


def newest_on_time(connection: Connection) -> Row[Any] | None:
    """Return the newest edition that is not a backfill."""
    query = select(editions).where(_ON_TIME).order_by(editions.c.number.desc()).limit(1)
    return connection.execute(query).one_or_none()


def calendar_editions(connection: Connection) -> list[Row[Any]]:
    """Return the newest on-time edition of each calendar with a symbol on the watchlist, by calendar."""
    used = select(instruments.c.calendar).where(instruments.c.active).distinct().subquery()
    other = editions.alias("other")
    newest = (
        select(other.c.number)
        .where(other.c.calendar == used.c.calendar, other.c.mode != "backfill")
        .order_by(other.c.as_of.desc(), other.c.number.desc())
        .limit(1)
        .correlate(used)
        .scalar_subquery()
    )
    query = select(editions).select_from(used.join(editions, editions.c.number == newest))
    return list(connection.execute(query.order_by(editions.c.calendar)))


def with_forecast(connection: Connection) -> int:
    """Return the number of symbols on the watchlist with an on-time forecast."""
    served = served_forecasts.join(editions, editions.c.number == served_forecasts.c.edition)
    ever = exists().select_from(served).where(served_forecasts.c.symbol == instruments.c.symbol, _ON_TIME)
    query = select(func.count()).select_from(instruments).where(instruments.c.active, ever)
    return int(connection.execute(query).scalar_one())


def running_training(connection: Connection, machine_now: datetime) -> Row[Any] | None:
    """Return the training that a live scheduler works on, the newest of several."""
    held = (runs.c.job == "train", runs.c.state == "running", runs.c.lease_until > machine_now)
    return connection.execute(select(runs).where(*held).order_by(runs.c.id.desc()).limit(1)).one_or_none()


def has_network(connection: Connection, group: str) -> bool:
    """Return whether any network was ever trained for a group."""
    found = exists().where(model_versions.c.group == group, model_versions.c.forecaster != _RANDOM_WALK)
    return bool(connection.execute(select(found)).scalar_one())


def faulty_pulls(connection: Connection) -> list[Row[Any]]:
    """Return the newest faulty pull of each calendar in use, if it is not done, oldest first.

    A pull that has just started is ignored: the one before it counts.
    `troubled` is the number of its symbols that the source failed to answer for. A pull that failed for another
    reason has none.
    """
    begun = select(runs.c.id).where(runs.c.state.in_(LIVE_STATES), runs.c.error.is_(None), ~_WARNED)
    newest = select(func.max(runs.c.id)).where(runs.c.job == "pull", ~runs.c.id.in_(begun)).group_by(runs.c.scope)
    troubled = (
        select(func.count())
        .where(run_outcomes.c.run_id == runs.c.id, run_outcomes.c.state.in_(TRIED_AGAIN))
        .correlate(runs)
        .scalar_subquery()
        .label("troubled")
    )
    query = (
        select(runs, troubled)
        .where(runs.c.id.in_(newest), or_(runs.c.error.is_not(None), _WARNED), runs.c.state != "done")
        .where(or_(runs.c.state == "waiting", troubled > 0), runs.c.scope.in_(_PULLED_CALENDARS))
        .order_by(runs.c.started_at, runs.c.id)
    )
    return list(connection.execute(query))


def lasting_failure(connection: Connection) -> Row[Any] | None:
    """Return the newest failed run without a later done run of its job and scope; unused scopes are ignored."""
    later = runs.alias("later")
    mended = exists().where(
        later.c.job == runs.c.job,
        later.c.scope == runs.c.scope,
        later.c.state == "done",
        or_(
            later.c.scheduled_for > runs.c.scheduled_for,
            and_(later.c.scheduled_for == runs.c.scheduled_for, later.c.sequence > runs.c.sequence),
        ),
    )
    used = or_(runs.c.scope.in_(_PULLED_CALENDARS), runs.c.scope.in_(_GROUPS))
    query = select(runs).where(runs.c.state == "failed", used, ~mended).order_by(runs.c.id.desc()).limit(1)
    return connection.execute(query).one_or_none()


def last_closes(connection: Connection, record_end: date) -> Sequence[tuple[str, date, datetime]]:
    """Return the stored sessions around the end of a record, of calendars in use: (calendar, day, close)."""
    table = sessions.c
    query = select(table.calendar, table.session, table.close_at).where(
        table.calendar.in_(_PULLED_CALENDARS), table.session >= record_end - _LAST_DAYS, table.state != "closed"
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]
