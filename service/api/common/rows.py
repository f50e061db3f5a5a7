"""Typed rows of the tables that several resources read.

The names of a row's fields are those of the columns; a row has only the columns that answers need.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import BindParameter, ColumnElement, Connection, FromClause, Select, bindparam

from service.api.common.schemas import Mode, Strategy

RowType = TypeVar("RowType", bound=NamedTuple)


class InstrumentRow(NamedTuple):
    """A row of `instruments`."""

    symbol: str
    name: str | None
    instrument_type: str
    group: str
    calendar: str
    currency: str | None
    active: bool
    reference: bool
    basis: int
    calendar_approximate: bool
    state: str
    state_reason: str | None
    state_since: datetime
    added_at: datetime
    first_session: date | None
    last_session: date | None
    position: int | None


class EditionRow(NamedTuple):
    """A row of `editions`."""

    number: int
    mode: Mode
    calendar: str
    as_of: date
    issued_at: datetime
    hash: str


class ForecastRow(NamedTuple):
    """A row of `forecasts`: one step by one model version, quantiles as log returns."""

    symbol: str
    edition: int
    strategy: Strategy
    model_version_id: int
    step: int
    target_session: date
    basis: int
    last_close: float
    q025: float
    q10: float
    q25: float
    q50: float
    q75: float
    q90: float
    q975: float
    raw_q025: float
    raw_q10: float
    raw_q25: float
    raw_q50: float
    raw_q75: float
    raw_q90: float
    raw_q975: float
    degraded: list[str] | None


class TrackRecordRow(NamedTuple):
    """A row of `track_records`."""

    id: int
    scope_kind: str
    scope: str
    strategy: Strategy
    step: int
    forecaster: str
    mode: Mode
    as_of: date
    n: int
    pinball: float
    random_walk_pinball: float | None
    skill: float | None
    coverage_50: float
    coverage_80: float
    coverage_95: float
    mae: float
    p: float | None


class ActionRow(NamedTuple):
    """A row of `corporate_actions`."""

    symbol: str
    ex_date: date
    kind: str
    value: float
    fetched_at: datetime


class RunRow(NamedTuple):
    """A row of `runs`."""

    id: int
    job: str
    scope: str
    scheduled_for: datetime
    sequence: int
    session: date | None
    state: str
    attempt: int
    wait_until: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    counts: dict[str, Any]
    progress: float | None
    progress_detail: str | None
    faults: int
    takeovers: int
    error: str | None
    warnings: list[str]
    outcomes_pruned_at: datetime | None
    parameters: dict[str, Any] | None


class OutcomeRow(NamedTuple):
    """A row of `run_outcomes`."""

    symbol: str
    state: str
    reason: str | None


def columns_of(table: FromClause, row_type: type[NamedTuple]) -> Iterator[ColumnElement[Any]]:
    """Yield the columns of a table in the order of a row's fields."""
    return (table.c[name] for name in row_type._fields)


Values = Mapping[str, Any]
"""Values of a statement's bind parameters, by name."""


def read_rows(
    connection: Connection, row_type: type[RowType], query: Select[Any], values: Values | None = None
) -> list[RowType]:
    """Return the rows of a query whose columns are the fields of the row, in order."""
    return list(map(row_type._make, connection.execute(query, values).all()))  # in half the time of one by one


def read_row(
    connection: Connection, row_type: type[RowType], query: Select[Any], values: Values | None = None
) -> RowType | None:
    """Return the only row of a query, None without one; see `read_rows`."""
    row = connection.execute(query, values).one_or_none()
    return None if row is None else row_type._make(row)


def any_of(name: str) -> BindParameter[Any]:
    """Return the bind parameter of a list, for `column.in_(any_of(name))`."""
    return bindparam(name, expanding=True)
