"""Track records."""

from typing import Any

from sqlalchemy import Connection, Row, select

from service.db.tables import track_records


def page(connection: Connection, filters: dict[str, str | int | None], after: int | None, limit: int) -> list[Row[Any]]:
    """Return track records, in the order in which they were first written.

    Args:
        connection: Open for reading.
        filters: Column name -> value it must have; None = any.
        after: Ids above this only (exclusive); None = from the first.
        limit: Most rows.
    """
    query = select(track_records).order_by(track_records.c.id).limit(limit)
    for name, value in filters.items():
        if value is not None:
            query = query.where(track_records.c[name] == value)
    if after is not None:
        query = query.where(track_records.c.id > after)
    return list(connection.execute(query))
