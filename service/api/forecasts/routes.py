"""GET /v1/forecasts and /v1/forecasts/{symbol}."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from service.api.common import etag
from service.api.common.dependencies import ReaderDependency, Snapshot
from service.api.common.pagination import cut, decode
from service.api.common.parameters import AsOf, Cursor, KnownAt, Limit, SymbolPath, SymbolsQuery, split_symbols
from service.api.common.schemas import problems
from service.api.forecasts.queries import ForecastQuery
from service.api.forecasts.read_forecast import read_forecast, read_forecasts
from service.api.forecasts.schemas import ForecastAnswer, ForecastPage
from service.api.symbols.queries import read_watchlist

router = APIRouter(prefix="/v1/forecasts", tags=["forecasts"])

_KIND = "forecasts"


@dataclass(frozen=True, slots=True)
class Batch:
    """The parameters of a batch."""

    symbols: SymbolsQuery = None
    as_of: AsOf = None
    known_at: KnownAt = None
    cursor: Cursor = None
    limit: Limit = 100


@router.get(
    "",
    summary="Forecasts of several symbols",
    response_model=ForecastPage,
    responses={**etag.NOT_MODIFIED, **problems()},
)
def several(
    request: Request, response: Response, reader: ReaderDependency, batch: Annotated[Batch, Depends()]
) -> ForecastPage | Response:
    """Forecasts of the given symbols, or of the whole watchlist, by symbol, in keyset pages.

    `as_of` selects the session, `known_at` the instant at which the answer was known.
    """
    with reader.snapshot() as snapshot:
        tag = etag.entity_tag(request, snapshot)
        if etag.matches(request, tag):
            return etag.not_modified(tag)
        symbols, next_cursor = _page_of_symbols(snapshot, batch)
        selection = ForecastQuery(snapshot.known_at(batch.known_at), batch.as_of)
        items, missing = read_forecasts(snapshot, reader.settings, symbols, selection)
    response.headers["ETag"] = tag
    return ForecastPage(items=items, missing=missing, next_cursor=next_cursor)


@router.get(
    "/{symbol}",
    summary="The forecast of one symbol",
    response_model=ForecastAnswer,
    responses={**etag.NOT_MODIFIED, **problems(404)},
)
def one(
    request: Request,
    response: Response,
    reader: ReaderDependency,
    symbol: SymbolPath,
    as_of: AsOf = None,
    known_at: KnownAt = None,
) -> ForecastAnswer | Response:
    """T, T+1 and T+2, the one-step T and the random walk, each with its track record.

    Prices are on the forecast's own split basis, less known dividends with an ex-date up to the target.
    """
    with reader.snapshot() as snapshot:
        tag = etag.entity_tag(request, snapshot)
        if etag.matches(request, tag):
            return etag.not_modified(tag)
        answer = read_forecast(snapshot, reader.settings, symbol, ForecastQuery(snapshot.known_at(known_at), as_of))
    response.headers["ETag"] = tag
    return answer


def _page_of_symbols(snapshot: Snapshot, batch: Batch) -> tuple[Sequence[str], str | None]:
    """Return the symbols of this page: of the list if given, else of the watchlist."""
    keys = decode(_KIND, batch.cursor, str)
    after = None if keys is None else str(keys[0])
    named = split_symbols(batch.symbols)
    if named is None:
        left = read_watchlist(snapshot.connection, after, batch.limit + 1)
    else:
        left = [symbol for symbol in named if after is None or symbol > after]
    return cut(left, batch.limit, _KIND, lambda symbol: (symbol,))
