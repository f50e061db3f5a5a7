"""Rows of a table with an id, newest first: the page that runs and model versions share."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Table, select


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows.

    Attributes:
        filters: Column name -> value it must have; None = any.
        before: Ids below this only (exclusive); None = from the newest.
        limit: Most rows.
    """

    filters: dict[str, str | None]
    before: int | None
    limit: int


def newest_first(connection: Connection, table: Table, page: Page) -> list[Row[Any]]:
    """Rows of a table, highest id first."""
    query = select(table).order_by(table.c.id.desc()).limit(page.limit)
    for name, value in page.filters.items():
        if value is not None:
            query = query.where(table.c[name] == value)
    if page.before is not None:
        query = query.where(table.c.id < page.before)
    return list(connection.execute(query))
