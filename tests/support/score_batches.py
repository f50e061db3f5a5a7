"""Scores written without the score job, in their own batch."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from service.db.tables import score_batches, scores


def add_scores(connection: Connection, rows: Sequence[dict[str, Any]], at: datetime, calendar: str = "XNYS") -> None:
    """Insert scores under a new batch; its hash is a placeholder, which `verify` would report."""
    number = connection.execute(select(func.coalesce(func.max(score_batches.c.number), 0) + 1)).scalar_one()
    header = {"number": number, "calendar": calendar, "scored_at": at, "recorded_at": at, "previous_hash": "0" * 64}
    connection.execute(insert(score_batches).values(**header, hash=f"{number:064d}"))
    connection.execute(insert(scores), [{**row, "batch": number} for row in rows])
