"""Model versions and their decisions."""

from typing import Any

from sqlalchemy import Connection, Row, select

from service.db.tables import model_decisions, model_versions
from service.errors import NotFound


def version(connection: Connection, version_id: int) -> Row[Any]:
    """One model version.

    Raises:
        NotFound: there is none of that id.
    """
    row = connection.execute(select(model_versions).where(model_versions.c.id == version_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no model version {version_id}; /v1/models lists those there are")
    return row


def decisions(connection: Connection, version_id: int) -> list[Row[Any]]:
    """The decisions about a version, oldest first."""
    table = model_decisions.c
    query = select(model_decisions).where(table.model_version_id == version_id).order_by(table.id)
    return list(connection.execute(query))
