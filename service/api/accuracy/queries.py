"""Reads a page of track records."""

from sqlalchemy import Connection, select

from service.api.common.rows import TrackRecordRow, columns_of, read_rows
from service.db.tables import track_records


def read_track_records(
    connection: Connection, filters: dict[str, str | int | None], after: int | None, limit: int
) -> list[TrackRecordRow]:
    """Return track records, in the order in which they were first written.

    Args:
        connection: Open for reading.
        filters: Column name -> value it must have; None = any.
        after: Ids above this only (exclusive); None = from the first.
        limit: Most rows.
    """
    query = select(*columns_of(track_records, TrackRecordRow)).order_by(track_records.c.id).limit(limit)
    for name, value in filters.items():
        if value is not None:
            query = query.where(track_records.c[name] == value)
    if after is not None:
        query = query.where(track_records.c.id > after)
    return read_rows(connection, TrackRecordRow, query)
