"""GET /v1/forecasts/{symbol}/history."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from service.api.common import etag
from service.api.common.dependencies import Reader, ReaderDependency
from service.api.common.pagination import cut, decode, encode
from service.api.common.parameters import Cursor, ModeQuery, StepQuery, StrategyQuery, SymbolPath
from service.api.common.patterns import FORECASTER_PATTERN
from service.api.common.schemas import problems
from service.api.formats.negotiate import TABLES, VARY, FormatDependency
from service.api.formats.table import CHUNK, ItemLimit, next_link, page_limit, table_limit, table_response
from service.api.history.build_history import COLUMNS, build_past_forecasts, build_rows
from service.api.history.past_prices import read_price_scale
from service.api.history.queries import HistoryFilter, HistoryKey, read_history, read_last_key
from service.api.history.schemas import HistoryPage
from service.api.symbols.queries import read_instrument
from service.vocabulary import SERVED

router = APIRouter(prefix="/v1/forecasts", tags=["forecasts"])

_KIND = "history"


def _filter(
    symbol: SymbolPath,
    forecaster: Annotated[
        str, Query(pattern=FORECASTER_PATTERN, description="`served`, `all`, or a forecaster such as `random_walk`")
    ] = SERVED,
    strategy: StrategyQuery = None,
    step: StepQuery = None,
    mode: ModeQuery = None,
) -> HistoryFilter:
    return HistoryFilter(symbol, forecaster, strategy, step, mode)


@dataclass(frozen=True, slots=True)
class _Part:
    """What a page or table covers."""

    cursor: Cursor = None
    limit: ItemLimit = None


@router.get(
    "/{symbol}/history",
    summary="Past forecasts with their outcomes",
    response_model=HistoryPage,
    responses={**TABLES, **etag.NOT_MODIFIED, **problems(404)},
)
def list_past_forecasts(
    request: Request,
    reader: ReaderDependency,
    filters: Annotated[HistoryFilter, Depends(_filter)],
    part: Annotated[_Part, Depends()],
    chosen: FormatDependency,
    response: Response,
) -> HistoryPage | Response:
    """Every stored forecast of a symbol, newest first, with its outcome: pending, scored, or void with the reason.

    Prices are next to the returns: those of a scored forecast are on the closes of its score. With `format` the
    answer is one table, streamed, of up to 1,000,000 rows; a longer one has a `Link` to the next.
    """
    keys = decode(_KIND, part.cursor, date, int)
    after = None if keys is None else (date.fromisoformat(str(keys[0])), int(str(keys[1])))
    limit = page_limit(part.limit) if chosen == "json" else table_limit(part.limit)
    with reader.snapshot() as snapshot:
        tag = etag.entity_tag(request, snapshot, chosen)
        if etag.matches(request, tag):
            return etag.not_modified(tag, VARY)
        instrument = read_instrument(snapshot.connection, filters.symbol)
        filters = replace(filters, symbol=instrument.symbol)
        if chosen == "json":
            rows = read_history(snapshot.connection, filters, after, limit + 1)
            page_rows, next_cursor = cut(rows, limit, _KIND, lambda row: (row.as_of, row.id))
            items = build_past_forecasts(snapshot, instrument, page_rows)
        else:
            last = read_last_key(snapshot.connection, filters, after, limit)
    if chosen == "json":
        response.headers.update({**VARY, "ETag": tag})
        return HistoryPage(symbol=instrument.symbol, items=items, next_cursor=next_cursor)
    headers = {"ETag": tag, **next_link(request, None if last is None else encode(_KIND, *last))}
    chunks = _chunks(reader, filters, after, limit)
    return table_response(chosen, f"{instrument.symbol}-history", COLUMNS, chunks, headers)


def _chunks(
    reader: Reader, filters: HistoryFilter, after: HistoryKey | None, limit: int
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of a table; no connection is held while a client reads."""
    left = limit
    while left > 0:
        with reader.snapshot() as snapshot:
            rows = read_history(snapshot.connection, filters, after, min(CHUNK, left))
            # Read again: a split may have moved the closes while a client was reading.
            basis = read_instrument(snapshot.connection, filters.symbol).basis
            scale = read_price_scale(snapshot.connection, filters.symbol, basis, rows, snapshot.now)
        yield list(build_rows(filters.symbol, rows, scale))
        if len(rows) < min(CHUNK, left):
            return
        left -= len(rows)
        after = (rows[-1].as_of, rows[-1].id)
