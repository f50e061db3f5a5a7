"""GET /v1/forecasts and /v1/forecasts/{symbol}."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from service.api.common import etag
from service.api.common.dependencies import Reader, ReaderDependency, Snapshot
from service.api.common.pagination import cut, decode
from service.api.common.parameters import AsOf, Cursor, KnownAt, SymbolPath, SymbolsQuery, split_symbols
from service.api.common.schemas import problems
from service.api.forecasts.build_rows import COLUMNS, build_rows
from service.api.forecasts.queries import ForecastQuery
from service.api.forecasts.read_forecast import explain_others, read_forecast, read_forecasts
from service.api.forecasts.schemas import ForecastAnswer, ForecastPage
from service.api.formats.negotiate import TABLES, VARY, FormatDependency
from service.api.formats.table import PAGE, ItemLimit, next_link, page_limit, table_limit, table_response
from service.api.symbols.queries import read_watchlist
from service.market.symbol_names import stored_symbols

router = APIRouter(prefix="/v1/forecasts", tags=["forecasts"])

_KIND = "forecasts"


@dataclass(frozen=True, slots=True)
class _Batch:
    """The parameters of a batch."""

    symbols: SymbolsQuery = None
    as_of: AsOf = None
    known_at: KnownAt = None
    cursor: Cursor = None
    limit: ItemLimit = None


@dataclass(frozen=True, slots=True)
class _One:
    """The parameters of one forecast."""

    symbol: SymbolPath
    as_of: AsOf = None
    known_at: KnownAt = None


@router.get(
    "",
    summary="Forecasts of several symbols",
    response_model=ForecastPage,
    responses={**TABLES, **etag.NOT_MODIFIED, **problems(404)},
)
def list_forecasts(
    request: Request,
    response: Response,
    reader: ReaderDependency,
    batch: Annotated[_Batch, Depends()],
    chosen: FormatDependency,
) -> ForecastPage | Response:
    """Forecasts of the given symbols, or of the whole watchlist, by symbol, in keyset pages.

    `as_of` selects the session, `known_at` the instant at which the answer was known. With `format` the answer is one
    table with a row per step; it leaves out symbols without a forecast, whose reasons the JSON answer has.
    """
    limit = page_limit(batch.limit) if chosen == "json" else table_limit(batch.limit)
    with reader.snapshot() as snapshot:
        tag = etag.entity_tag(request, snapshot, chosen)
        if etag.matches(request, tag):
            return etag.not_modified(tag, VARY)
        symbols, next_cursor = _page_of_symbols(snapshot, batch, limit)
        selection = ForecastQuery(snapshot.known_at(batch.known_at), batch.as_of)
        if chosen == "json":
            items = read_forecasts(snapshot, reader.settings, symbols, selection)
            missing = explain_others(snapshot, symbols, items, selection)
    if chosen != "json":
        headers = {"ETag": tag, **next_link(request, next_cursor)}
        return table_response(chosen, "forecasts", COLUMNS, _chunks(reader, symbols, selection), headers)
    response.headers.update({**VARY, "ETag": tag})
    return ForecastPage(items=items, missing=missing, next_cursor=next_cursor)


@router.get(
    "/{symbol}",
    summary="The forecast of one symbol",
    response_model=ForecastAnswer,
    responses={**TABLES, **etag.NOT_MODIFIED, **problems(404)},
)
def get_forecast(
    request: Request,
    response: Response,
    reader: ReaderDependency,
    wanted: Annotated[_One, Depends()],
    chosen: FormatDependency,
) -> ForecastAnswer | Response:
    """T, T+1 and T+2, the one-step T and the random walk, each with its track record.

    Prices are on the forecast's own split basis, less known dividends with an ex-date up to the target. With `format`
    the answer is a table with a row per step.
    """
    with reader.snapshot() as snapshot:
        tag = etag.entity_tag(request, snapshot, chosen)
        if etag.matches(request, tag):
            return etag.not_modified(tag, VARY)
        selection = ForecastQuery(snapshot.known_at(wanted.known_at), wanted.as_of)
        answer = read_forecast(snapshot, reader.settings, wanted.symbol, selection)
    if chosen != "json":
        rows = iter([list(build_rows([answer]))])
        return table_response(chosen, f"{answer.symbol}-forecast", COLUMNS, rows, {"ETag": tag})
    response.headers.update({**VARY, "ETag": tag})
    return answer


def _chunks(reader: Reader, symbols: Sequence[str], selection: ForecastQuery) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of a table; no connection is held while a client reads."""
    for start in range(0, len(symbols), PAGE):
        with reader.snapshot() as snapshot:
            answers = read_forecasts(snapshot, reader.settings, symbols[start : start + PAGE], selection)
        yield list(build_rows(answers))


def _page_of_symbols(snapshot: Snapshot, batch: _Batch, limit: int) -> tuple[Sequence[str], str | None]:
    """Return the symbols of this page: of the list if given, else of the watchlist."""
    keys = decode(_KIND, batch.cursor, str)
    after = None if keys is None else str(keys[0])
    named = split_symbols(batch.symbols)
    if named is None:
        left = read_watchlist(snapshot.connection, after, limit + 1)
    else:
        stored = stored_symbols(snapshot.connection, named)
        unique = sorted({stored.get(symbol, symbol) for symbol in named})
        left = [symbol for symbol in unique if after is None or symbol > after]
    return cut(left, limit, _KIND, lambda symbol: (symbol,))
