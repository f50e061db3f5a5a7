"""Reads runs and their outcomes."""

from sqlalchemy import Connection, select

from service.api.common.rows import OutcomeRow, RunRow, columns_of, read_row, read_rows
from service.db.tables import run_outcomes, runs
from service.errors import NotFound


def read_run(connection: Connection, run_id: int) -> RunRow:
    """Return one run.

    Raises:
        NotFound: the id does not exist.
    """
    row = read_row(connection, RunRow, select(*columns_of(runs, RunRow)).where(runs.c.id == run_id))
    if row is None:
        raise NotFound(f"there is no run {run_id}; see /v1/runs")
    return row


def read_outcomes(connection: Connection, run_id: int, after: str | None, limit: int) -> list[OutcomeRow]:
    """Return the outcomes of a run by symbol, after a symbol (exclusive)."""
    query = select(*columns_of(run_outcomes, OutcomeRow)).where(run_outcomes.c.run_id == run_id)
    query = query.order_by(run_outcomes.c.symbol).limit(limit)
    if after is not None:
        query = query.where(run_outcomes.c.symbol > after)
    return read_rows(connection, OutcomeRow, query)
