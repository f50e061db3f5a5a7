"""Reads stored forecasts with their newest scores."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select

from service.api.common.rows import read_rows
from service.api.common.schemas import Mode as ModeName
from service.api.common.schemas import Strategy
from service.db.tables import bars, editions, forecasts, model_versions, scores, served_forecasts
from service.db.tables.forecasts import QUANTILE_NAMES
from service.vocabulary import SERVED, Mode

ALL = "all"

HistoryKey = tuple[date, int]
"""Sort keys of a row: as_of and id."""

# Made once: making an alias costs more than the query.
_any_score = scores.alias("any_score")
_later, _later_issue = forecasts.alias("later"), editions.alias("later_issue")
_later_issued = _later.join(_later_issue, _later_issue.c.number == _later.c.edition)


class PastForecastRow(NamedTuple):
    """A row of `forecasts` with its edition, model version and newest score; quantiles as log returns."""

    id: int
    as_of: date
    step: int
    target_session: date
    strategy: Strategy
    model_version_id: int
    edition: int
    revision: int
    basis: int
    last_close: float
    q025: float
    q10: float
    q25: float
    q50: float
    q75: float
    q90: float
    q975: float
    mode: ModeName
    issued_at: datetime
    forecaster: str
    served: bool
    superseded: bool
    score_state: str | None
    score_reason: str | None
    score_revision: int | None
    actual: float | None
    pinball: float | None
    error: float | None
    inside_50: bool | None
    inside_80: bool | None
    inside_95: bool | None
    scored_at: datetime | None
    target_close: float | None


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Selects forecasts of a symbol.

    Attributes:
        symbol: Yahoo-style name.
        forecaster: `served`, `all`, or a network or baseline.
        strategy: `one_step`, `multi_step`, None for both.
        step: 1, 2, 3, None for all.
        mode: `live`, `replay`, `backfill`, None for all.
    """

    symbol: str
    forecaster: str = SERVED
    strategy: str | None = None
    step: int | None = None
    mode: str | None = None


def read_history(
    connection: Connection, filters: HistoryFilter, after: HistoryKey | None, limit: int
) -> list[PastForecastRow]:
    """Return forecasts, newest as_of first.

    Args:
        connection: Open for reading.
        filters: Selection.
        after: (as_of, id) of the last row of the page before (exclusive); None = from the newest.
        limit: Most rows.
    """
    revisions = select(func.max(_any_score.c.revision)).where(_any_score.c.forecast_id == forecasts.c.id)
    newest = revisions.correlate(forecasts).scalar_subquery()
    query = (
        _selected(_columns(), filters, after)
        .outerjoin(scores, and_(scores.c.forecast_id == forecasts.c.id, scores.c.revision == newest))
        .outerjoin(bars, and_(bars.c.symbol == forecasts.c.symbol, bars.c.session == forecasts.c.target_session))
        .limit(limit)
    )
    return read_rows(connection, PastForecastRow, query)


def read_last_key(
    connection: Connection, filters: HistoryFilter, after: HistoryKey | None, limit: int
) -> HistoryKey | None:
    """Return the keys of the last of `limit` forecasts if others follow it, else None."""
    query = _selected([forecasts.c.as_of, forecasts.c.id], filters, after).offset(limit - 1).limit(2)
    rows = connection.execute(query).all()
    return (rows[0].as_of, rows[0].id) if len(rows) == 2 else None


def _selected(columns: list[ColumnElement[Any]], filters: HistoryFilter, after: HistoryKey | None) -> Select[Any]:
    """Return the query of the forecasts of a filter, newest as_of first."""
    item_served = and_(
        served_forecasts.c.edition == forecasts.c.edition,
        served_forecasts.c.symbol == forecasts.c.symbol,
        served_forecasts.c.strategy == forecasts.c.strategy,
        served_forecasts.c.model_version_id == forecasts.c.model_version_id,
    )
    query = (
        select(*columns)
        .select_from(forecasts)
        .join(editions, editions.c.number == forecasts.c.edition)
        .join(model_versions, model_versions.c.id == forecasts.c.model_version_id)
        .outerjoin(served_forecasts, item_served)
        .where(*_conditions(filters))
        .order_by(forecasts.c.as_of.desc(), forecasts.c.id.desc())
    )
    if after is not None:
        as_of, last_id = after
        # The first bound lets the index start at the page.
        query = query.where(forecasts.c.as_of <= as_of, or_(forecasts.c.as_of < as_of, forecasts.c.id < last_id))
    return query


def _columns() -> list[ColumnElement[Any]]:
    """Return the columns in the order of the fields of `PastForecastRow`."""
    table = forecasts.c
    kept = ("id", "as_of", "step", "target_session", "strategy", "model_version_id", "edition", "revision", "basis")
    return [
        *(table[name] for name in (*kept, "last_close", *QUANTILE_NAMES)),
        editions.c.mode,
        editions.c.issued_at,
        model_versions.c.forecaster,
        served_forecasts.c.edition.is_not(None).label("served"),
        _superseded().label("superseded"),
        scores.c.state.label("score_state"),
        scores.c.reason.label("score_reason"),
        scores.c.revision.label("score_revision"),
        *(
            scores.c[name]
            for name in ("actual", "pinball", "error", "inside_50", "inside_80", "inside_95", "scored_at")
        ),
        bars.c.close.label("target_close"),
    ]


def _superseded() -> ColumnElement[bool]:
    """Return whether a later on-time edition has a forecast of the same session, which replaces this one."""
    later, issue = _later, _later_issue
    on_time = issue.c.mode != Mode.BACKFILL
    return exists(
        select(later.c.id)
        .select_from(_later_issued)
        .correlate(forecasts, editions)
        .where(
            later.c.symbol == forecasts.c.symbol,
            later.c.as_of == forecasts.c.as_of,
            later.c.step == forecasts.c.step,
            later.c.strategy == forecasts.c.strategy,
            or_(
                and_(on_time, or_(later.c.edition > forecasts.c.edition, editions.c.mode == Mode.BACKFILL)),
                and_(~on_time, editions.c.mode == Mode.BACKFILL, later.c.edition > forecasts.c.edition),
            ),
        )
    )


def _conditions(filters: HistoryFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [forecasts.c.symbol == filters.symbol]
    if filters.forecaster == SERVED:
        conditions.append(served_forecasts.c.edition.is_not(None))
    elif filters.forecaster != ALL:
        conditions.append(model_versions.c.forecaster == filters.forecaster)
    if filters.strategy is not None:
        conditions.append(forecasts.c.strategy == filters.strategy)
    if filters.step is not None:
        conditions.append(forecasts.c.step == filters.step)
    if filters.mode is not None:
        conditions.append(editions.c.mode == filters.mode)
    return conditions
