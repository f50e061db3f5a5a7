"""Queries of the watcher: new editions and runs, and runs that may have changed."""

from collections.abc import Collection
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, or_, select

from service.api.common.rows import EditionRow, columns_of, read_rows
from service.db.tables import editions, run_requests, runs
from service.run_requests.store import OPEN_STATES
from service.runs import LIVE_STATES
from service.vocabulary import RunState

_OPEN = (*LIVE_STATES, RunState.WAITING)


class LiveRunRow(NamedTuple):
    """The columns of `runs` that events report."""

    id: int
    job: str
    scope: str
    session: date | None
    state: str
    error: str | None
    warnings: list[str]
    counts: dict[str, Any]
    progress: float | None
    progress_detail: str | None


def read_newest_edition_number(connection: Connection) -> int:
    """Return the number of the newest edition, 0 without any."""
    return connection.execute(select(func.max(editions.c.number))).scalar_one() or 0


def read_newest_run_id(connection: Connection) -> int:
    """Return the id of the newest run, 0 without any."""
    return connection.execute(select(func.max(runs.c.id))).scalar_one() or 0


def read_editions_after(connection: Connection, number: int, limit: int) -> list[EditionRow]:
    """Return the newest editions after a number, at most `limit`, lowest number first."""
    query = select(*columns_of(editions, EditionRow)).where(editions.c.number > number)
    return read_rows(connection, EditionRow, query.order_by(editions.c.number.desc()).limit(limit))[::-1]


def read_changed_runs(connection: Connection, after: int, seen: Collection[int], limit: int) -> list[LiveRunRow]:
    """Return runs that are open, were open when last seen, or are new; the newest `limit`, lowest id first.

    Args:
        connection: Open for reading.
        after: Runs of higher ids are new.
        seen: Ids of runs that were open.
        limit: Most rows.
    """
    changed = or_(runs.c.state.in_(_OPEN), runs.c.id > after, runs.c.id.in_(sorted(seen)))
    query = select(*columns_of(runs, LiveRunRow)).where(changed).order_by(runs.c.id.desc()).limit(limit)
    return read_rows(connection, LiveRunRow, query)[::-1]


class LiveRequestRow(NamedTuple):
    """The columns of `run_requests` that events report."""

    id: int
    kind: str
    state: str
    error: str | None
    result: dict[str, Any] | None


def read_newest_request_id(connection: Connection) -> int:
    """Return the id of the newest run request, 0 without any."""
    return connection.execute(select(func.max(run_requests.c.id))).scalar_one() or 0


def read_changed_requests(
    connection: Connection, after: int, seen: Collection[int], limit: int
) -> list[LiveRequestRow]:
    """Return run requests that are open, were open when last seen, or are new; see `read_changed_runs`."""
    table = run_requests.c
    changed = or_(table.state.in_(OPEN_STATES), table.id > after, table.id.in_(sorted(seen)))
    query = select(*columns_of(run_requests, LiveRequestRow)).where(changed).order_by(table.id.desc()).limit(limit)
    return read_rows(connection, LiveRequestRow, query)[::-1]


def is_open(row: LiveRunRow) -> bool:
    """Return whether a run may still change."""
    return row.state in _OPEN
