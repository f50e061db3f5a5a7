"""Reads model versions and the decisions about them."""

from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from service.api.common.rows import columns_of, read_row, read_rows
from service.db.tables import model_decisions, model_versions
from service.errors import NotFound


class ModelRow(NamedTuple):
    """A row of `model_versions`."""

    id: int
    group: str
    strategy: str
    forecaster: str
    lookback: int
    horizon: int
    status: str
    reason: str
    trained_at: datetime
    data_until: datetime | None
    train_first: date | None
    train_last: date | None
    validation_first: date | None
    validation_last: date | None
    test_first: date | None
    test_last: date | None
    seeds: list[int]
    specs: dict[str, Any]
    config_hash: str
    data_hash: str
    sha256: str
    metrics: dict[str, Any]
    pinned_at: datetime | None
    run_id: int | None


class DecisionRow(NamedTuple):
    """A row of `model_decisions`."""

    id: int
    decided_at: datetime
    recorded_at: datetime
    status: str
    reason: str
    figures: dict[str, Any]
    run_id: int | None


def read_version(connection: Connection, version_id: int) -> ModelRow:
    """Return one model version.

    Raises:
        NotFound: the id does not exist.
    """
    query = select(*columns_of(model_versions, ModelRow)).where(model_versions.c.id == version_id)
    row = read_row(connection, ModelRow, query)
    if row is None:
        raise NotFound(f"there is no model version {version_id}; see /v1/models")
    return row


def read_decisions(connection: Connection, version_id: int) -> list[DecisionRow]:
    """Return the decisions about a version, oldest first."""
    table = model_decisions.c
    query = select(*columns_of(model_decisions, DecisionRow)).where(table.model_version_id == version_id)
    return read_rows(connection, DecisionRow, query.order_by(table.id))
