"""Model versions and their decisions."""

from typing import Any

from sqlalchemy import Connection, Row, select

from service.db.tables import model_decisions, model_versions
from service.errors import NotFound


def version(connection: Connection, version_id: int) -> Row[Any]:
    """One model version.

    Raises:
        NotFound: the id does not exist.
    """
    row = connection.execute(select(model_versions).where(model_versions.c.id == version_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no model version {version_id}; see /v1/models")
    return row


def decisions(connection: Connection, version_id: int) -> list[Row[Any]]:
    """Return the decisions about a version, oldest first."""
    table = model_decisions.c
    query = select(model_decisions).where(table.model_version_id == version_id).order_by(table.id)
    return list(connection.execute(query))
