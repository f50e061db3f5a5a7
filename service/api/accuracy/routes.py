"""GET /v1/accuracy."""

from dataclasses import asdict, dataclass
from typing import Annotated

from fastapi import APIRouter, Depends

from service.api.accuracy.queries import read_track_records
from service.api.accuracy.schemas import AccuracyItem, AccuracyPage
from service.api.common.dependencies import ReaderDependency
from service.api.common.pagination import cut, decode
from service.api.common.parameters import (
    Cursor,
    ForecasterQuery,
    Limit,
    ModeQuery,
    RecordScopeQuery,
    StepQuery,
    StrategyQuery,
)
from service.api.common.schemas import problems
from service.api.symbols.queries import stored_scope

router = APIRouter(prefix="/v1/accuracy", tags=["accuracy"])

_KIND = "accuracy"


@dataclass(frozen=True, slots=True)
class Filters:
    """Selects track records; the names are those of the columns."""

    scope: RecordScopeQuery = None
    strategy: StrategyQuery = None
    step: StepQuery = None
    forecaster: ForecasterQuery = None
    mode: ModeQuery = None


@router.get("", summary="Track records", responses=problems(404))
def list_track_records(
    reader: ReaderDependency, filters: Annotated[Filters, Depends()], cursor: Cursor = None, limit: Limit = 100
) -> AccuracyPage:
    """Measured error, skill against the random walk and coverage, with n, by symbol or group.

    `forecaster=served` follows the published forecasts of any forecaster; a forecaster's name follows that one alone.
    """
    keys = decode(_KIND, cursor, int)
    with reader.snapshot() as snapshot:
        after = None if keys is None else int(str(keys[0]))
        scope = None if filters.scope is None else stored_scope(snapshot.connection, filters.scope)
        rows = read_track_records(snapshot.connection, {**asdict(filters), "scope": scope}, after, limit + 1)
    page_rows, next_cursor = cut(rows, limit, _KIND, lambda row: (row.id,))
    return AccuracyPage(items=[AccuracyItem.of(row) for row in page_rows], next_cursor=next_cursor)
