"""Runs and their outcomes."""

from typing import Any

from sqlalchemy import Connection, Row, select

from service.db.tables import run_outcomes, runs
from service.errors import NotFound


def page(connection: Connection, filters: dict[str, str | None], before: int | None, limit: int) -> list[Row[Any]]:
    """Runs, newest first.

    Args:
        connection: Open for reading.
        filters: Column name -> value it must have; None = any.
        before: Ids below this only (exclusive); None = from the newest.
        limit: Most rows.
    """
    query = select(runs).order_by(runs.c.id.desc()).limit(limit)
    for name, value in filters.items():
        if value is not None:
            query = query.where(runs.c[name] == value)
    if before is not None:
        query = query.where(runs.c.id < before)
    return list(connection.execute(query))


def run(connection: Connection, run_id: int) -> Row[Any]:
    """One run.

    Raises:
        NotFound: there is none of that id.
    """
    row = connection.execute(select(runs).where(runs.c.id == run_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no run {run_id}; /v1/runs lists those there are")
    return row


def outcomes(connection: Connection, run_id: int, after: str | None, limit: int) -> list[Row[Any]]:
    """A run's outcomes, by symbol, after a symbol (exclusive)."""
    query = select(run_outcomes).where(run_outcomes.c.run_id == run_id).order_by(run_outcomes.c.symbol).limit(limit)
    if after is not None:
        query = query.where(run_outcomes.c.symbol > after)
    return list(connection.execute(query))
