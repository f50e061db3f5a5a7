"""GET /v1/watchlist."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from service.api.answers.database_state import read_state
from service.api.answers.make import Documents, make_answer, respond
from service.api.common import etag
from service.api.common.dependencies import ReaderDependency
from service.api.common.pagination import cut, decode
from service.api.common.parameters import Cursor
from service.api.common.schemas import problems
from service.api.formats.fields import FieldsQuery, choose_fields, items_json
from service.api.watchlist.cache import Order, SortBy, Sorting, WatchlistTable
from service.api.watchlist.queries import read_last_closes
from service.api.watchlist.schemas import WatchlistItem, WatchlistPage

router = APIRouter(prefix="/v1/watchlist", tags=["symbols"])

_NEXT = timedelta(microseconds=1)
"""Time between an instant and the next: a forecast is stale after an instant, and not yet at it."""


@dataclass(frozen=True, slots=True)
class WatchlistQuery:
    """The parameters of a page."""

    q: Annotated[str, Query(max_length=100, description="part of a symbol or name, in any letter case")] = ""
    sort: Annotated[
        SortBy,
        Query(
            description="position (as added, the order of TPLUS_SYMBOLS); symbol; change and width (of the 80 % "
            "interval) of T over last_close; skill; last_close"
        ),
    ] = "position"
    order: Annotated[Order, Query(description="asc or desc; lines without a value come last")] = "asc"
    limit: Annotated[int, Query(ge=1, le=200, description="lines in a page")] = 50
    cursor: Cursor = None
    fields: FieldsQuery = None


async def _table(request: Request) -> WatchlistTable:
    table: WatchlistTable = request.app.state.watchlist
    return table


@router.get(
    "",
    summary="The watchlist, one short line per symbol",
    response_model=WatchlistPage,
    responses={**etag.NOT_MODIFIED, **problems(404)},
)
def list_watchlist(
    request: Request,
    reader: ReaderDependency,
    table: Annotated[WatchlistTable, Depends(_table)],
    parameters: Annotated[WatchlistQuery, Depends()],
) -> Response:
    """Each symbol on the watchlist with the state of its data and its newest forecast in short, in keyset pages.

    A symbol without a forecast has `as_of` null and no steps. Prices are those of `/v1/forecasts/{symbol}`.
    """
    include = choose_fields(WatchlistItem, parameters.fields)
    sorting = Sorting(parameters.sort, parameters.order)
    keys = decode(sorting.name, parameters.cursor, str, str)
    end = None if keys is None else (str(keys[0]), str(keys[1]))
    with reader.snapshot() as snapshot:
        state = read_state(snapshot, reader)
        tag = etag.make_tag(state.cache_key.counter, f"{request.url}\n{state.cache_key}", snapshot.now)
        if etag.matches(request, tag):
            return etag.not_modified(tag)
        now, watchlist = snapshot.now, table.at(snapshot, state.cache_key)
        search_text = parameters.q.strip().casefold()
        matching = [line for line in watchlist.ordered(sorting) if search_text in line.search_text]
        left = list(sorting.after(matching, end))
        page_lines, next_cursor = cut(left, parameters.limit, sorting.name, sorting.keys)
        closes = read_last_closes(snapshot.connection, [line.row for line in page_lines])
    page = WatchlistPage(
        items=[watchlist.item(line, now, closes.get(line.symbol, ())) for line in page_lines],
        total=len(watchlist.lines),
        matching=len(matching),
        next_cursor=next_cursor,
    )
    stale_from = [None if at is None else at + _NEXT for at in map(watchlist.stale_after_of, page_lines)]
    documents = Documents([(items_json(page, include), "", {})], stale_from)
    answer = make_answer(state, documents, request.scope["route"].path, tag)
    return respond(request, documents, answer, is_kept=True)
