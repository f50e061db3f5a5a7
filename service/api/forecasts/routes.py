"""GET /v1/forecasts and /v1/forecasts/{symbol}."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from time import monotonic
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from service.api.answers.database_state import DatabaseState, read_state
from service.api.answers.make import Documents, forecast_tag, make_answer, respond
from service.api.answers.watch import KEPT_SECONDS
from service.api.common import etag
from service.api.common.dependencies import Reader, ReaderDependency, Snapshot
from service.api.common.pagination import cut, decode
from service.api.common.parameters import AsOf, Cursor, KnownAt, SymbolPath, SymbolsQuery, split_symbols
from service.api.common.schemas import problems
from service.api.forecasts.build_answer import build_answer
from service.api.forecasts.build_rows import COLUMNS, build_rows
from service.api.forecasts.encode import encode_forecasts, encode_page
from service.api.forecasts.forecast_rows import ForecastRows
from service.api.forecasts.queries import ForecastQuery
from service.api.forecasts.read_forecast import explain_others, read_forecast, read_forecasts
from service.api.forecasts.read_stored import Known, read_stored
from service.api.forecasts.schemas import ForecastAnswer, ForecastPage
from service.api.formats.fields import FieldsQuery, json_fields
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
    fields: FieldsQuery = None
    cursor: Cursor = None
    limit: ItemLimit = None


@dataclass(frozen=True, slots=True)
class _One:
    """The parameters of one forecast."""

    symbol: SymbolPath
    as_of: AsOf = None
    known_at: KnownAt = None
    fields: FieldsQuery = None


@router.get(
    "",
    summary="Forecasts of several symbols",
    response_model=ForecastPage,
    responses={**TABLES, **etag.NOT_MODIFIED, **problems(404)},
)
def list_forecasts(
    request: Request,
    reader: ReaderDependency,
    batch: Annotated[_Batch, Depends()],
    chosen: FormatDependency,
) -> Response:
    """Forecasts of the given symbols, or of the whole watchlist, by symbol, in keyset pages.

    `as_of` selects the session, `known_at` the instant at which the answer was known. With `format` the answer is one
    table with a row per step; it leaves out symbols without a forecast, whose reasons the JSON answer has. `fields`
    makes the JSON answer short.
    """
    limit = page_limit(batch.limit) if chosen == "json" else table_limit(batch.limit)
    include, started = json_fields(ForecastAnswer, batch.fields, chosen), monotonic()
    with reader.snapshot() as snapshot:
        tag = etag.entity_tag(request, snapshot, chosen)
        if etag.matches(request, tag):
            return etag.not_modified(tag, VARY)
        symbols, next_cursor = _page_of_symbols(snapshot, batch, limit)
        selection = ForecastQuery(snapshot.known_at(batch.known_at), batch.as_of)
        if chosen == "json":
            state = read_state(snapshot, reader)
            stored = read_stored(snapshot, reader.settings, symbols, selection, Known(coming=state.next_editions))
            items = [build_answer(stored[symbol]) for symbol in symbols if symbol in stored]
            missing = explain_others(snapshot, symbols, items, selection)
    if chosen != "json":
        headers = {"ETag": tag, **next_link(request, next_cursor)}
        return table_response(chosen, "forecasts", COLUMNS, _chunks(reader, symbols, selection), headers)
    documents = encode_page(items, missing, next_cursor, include)
    # Why a symbol has no forecast may change without a change that is counted.
    expires = started + KEPT_SECONDS if missing else inf
    return _respond(request, state, _until(documents, stored.values(), expires), is_kept=batch.known_at is None)


@router.get(
    "/{symbol}",
    summary="The forecast of one symbol",
    response_model=ForecastAnswer,
    responses={**TABLES, **etag.NOT_MODIFIED, **problems(404)},
)
def get_forecast(
    request: Request,
    reader: ReaderDependency,
    wanted: Annotated[_One, Depends()],
    chosen: FormatDependency,
) -> Response:
    """T, T+1 and T+2, the one-step T and the random walk, each with its track record.

    Prices are on the forecast's own split basis, less known dividends with an ex-date up to the target. With `format`
    the answer is a table with a row per step; `fields` makes the JSON answer short.
    """
    include = json_fields(ForecastAnswer, wanted.fields, chosen)
    with reader.snapshot() as snapshot:
        tag = etag.entity_tag(request, snapshot, chosen)
        if etag.matches(request, tag):
            return etag.not_modified(tag, VARY)
        selection = ForecastQuery(snapshot.known_at(wanted.known_at), wanted.as_of)
        state = read_state(snapshot, reader)
        stored = read_forecast(snapshot, reader.settings, wanted.symbol, selection, state.next_editions)
    answer = build_answer(stored)
    if chosen != "json":
        rows = iter([list(build_rows([answer]))])
        return table_response(chosen, f"{answer.symbol}-forecast", COLUMNS, rows, {"ETag": tag})
    documents = _until(encode_forecasts([answer], include), [stored])
    return _respond(request, state, documents, is_kept=wanted.known_at is None)


def _until(documents: Documents, stored: Iterable[ForecastRows], expires: float = inf) -> Documents:
    """Return documents with the instants until which they hold."""
    return replace(documents, changes_at=[rows.changes_at for rows in stored], expires=expires)


def _respond(request: Request, state: DatabaseState, documents: Documents, *, is_kept: bool) -> Response:
    """Return the response with some documents; the same request at a later time may get them if they are kept."""
    route, tag = request.scope["route"].path, forecast_tag(request.url, state)
    answer = make_answer(state, documents, route, tag, VARY["Vary"])
    return respond(request, documents, answer, is_kept=is_kept)


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
