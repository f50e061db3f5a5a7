"""Queries of the watcher: new editions and runs, and runs that may have changed."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, func, or_, select

from service.db.tables import editions, runs
from service.runs import LIVE_STATES

_OPEN = (*LIVE_STATES, "waiting")
_COLUMNS = (
    runs.c.id,
    runs.c.job,
    runs.c.scope,
    runs.c.session,
    runs.c.state,
    runs.c.error,
    runs.c.warnings,
    runs.c.counts,
    runs.c.progress,
    runs.c.progress_detail,
)


def newest_number(connection: Connection) -> int:
    """Return the number of the newest edition, 0 without any."""
    return connection.execute(select(func.max(editions.c.number))).scalar_one() or 0


def newest_run(connection: Connection) -> int:
    """Return the id of the newest run, 0 without any."""
    return connection.execute(select(func.max(runs.c.id))).scalar_one() or 0


def editions_after(connection: Connection, number: int, limit: int) -> list[Row[Any]]:
    """Return the newest editions after a number, at most `limit`, lowest number first."""
    query = select(editions).where(editions.c.number > number).order_by(editions.c.number.desc()).limit(limit)
    return list(reversed(connection.execute(query).all()))


def changed_runs(connection: Connection, after: int, seen: Collection[int], limit: int) -> list[Row[Any]]:
    """Return runs that are open, were open when last seen, or are new; the newest `limit`, lowest id first.

    Args:
        connection: Open for reading.
        after: Runs of higher ids are new.
        seen: Ids of runs that were open.
        limit: Most rows.
    """
    wanted = or_(runs.c.state.in_(_OPEN), runs.c.id > after, runs.c.id.in_(sorted(seen)))
    query = select(*_COLUMNS).where(wanted).order_by(runs.c.id.desc()).limit(limit)
    rows: list[Row[Any]] = list(connection.execute(query))
    return rows[::-1]


def is_open(row: Row[Any]) -> bool:
    """Return whether a run may still change."""
    return row.state in _OPEN
