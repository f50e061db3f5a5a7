"""Runs and their outcomes."""

from typing import Any

from sqlalchemy import Connection, Row, select

from service.db.tables import run_outcomes, runs
from service.errors import NotFound


def run(connection: Connection, run_id: int) -> Row[Any]:
    """One run.

    Raises:
        NotFound: the id does not exist.
    """
    row = connection.execute(select(runs).where(runs.c.id == run_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no run {run_id}; see /v1/runs")
    return row


def outcomes(connection: Connection, run_id: int, after: str | None, limit: int) -> list[Row[Any]]:
    """A run's outcomes, by symbol, after a symbol (exclusive)."""
    query = select(run_outcomes).where(run_outcomes.c.run_id == run_id).order_by(run_outcomes.c.symbol).limit(limit)
    if after is not None:
        query = query.where(run_outcomes.c.symbol > after)
    return list(connection.execute(query))
