"""GET /v1/symbols, PUT and DELETE /v1/symbols/{symbol}."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from service.api.access.require import AdminAccess
from service.api.common.dependencies import ReaderDependency, Writing
from service.api.common.pagination import cut, decode
from service.api.common.parameters import Cursor, GroupQuery, Limit, SymbolPath
from service.api.common.schemas import problems
from service.api.run_requests.limits import check_room
from service.api.run_requests.schemas import RunRequestItem, SymbolBody
from service.api.run_requests.submit import ACCEPTED, RESPONSES, Submission, SubmitterDependency
from service.api.symbols.queries import read_instrument, read_instrument_page
from service.api.symbols.schemas import SymbolItem, SymbolPage
from service.market.symbol_names import normalize_symbols
from service.vocabulary import RequestKind

router = APIRouter(prefix="/v1/symbols", tags=["symbols"])

_KIND = "symbols"


@router.get("", summary="The watchlist and the reference series", responses=problems(404))
def list_symbols(
    reader: ReaderDependency,
    group: GroupQuery = None,
    active: Annotated[bool | None, Query(description="on the watchlist or not; default: both")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> SymbolPage:
    """Every instrument with its calendar, group and the state of its data, by symbol."""
    keys = decode(_KIND, cursor, str)
    with reader.snapshot() as snapshot:
        after = None if keys is None else str(keys[0])
        rows = read_instrument_page(snapshot.connection, after, limit + 1, group, active)
    page_rows, next_cursor = cut(rows, limit, _KIND, lambda row: (row.symbol,))
    return SymbolPage(items=[SymbolItem.of(row) for row in page_rows], next_cursor=next_cursor)


@router.put(
    "/{symbol}", summary="Add a symbol", status_code=ACCEPTED, response_model=RunRequestItem, responses=RESPONSES
)
def request_symbol(
    reader: ReaderDependency,
    submitter: SubmitterDependency,
    principal: AdminAccess,
    symbol: SymbolPath,
    body: SymbolBody | None = None,
) -> Response:
    """Request that a symbol is put on the watchlist.

    The scheduler checks that the source has it, pulls its history and forecasts it: by the random walk from 60
    sessions on, by the network of its group from 250 on, without a training.
    """
    with reader.snapshot() as snapshot:
        (stored,) = normalize_symbols(snapshot.connection, [symbol])
    chosen = {} if body is None else body.model_dump(exclude_none=True)

    def check(writing: Writing) -> None:
        check_room(writing, reader.settings, stored)

    return submitter.submit(principal, Submission(RequestKind.ADD_SYMBOL, {"symbol": stored, **chosen}, check))


@router.delete(
    "/{symbol}",
    summary="Remove a symbol",
    status_code=ACCEPTED,
    response_model=RunRequestItem,
    responses={**RESPONSES, **problems(404)},
)
def request_symbol_removal(
    reader: ReaderDependency, submitter: SubmitterDependency, principal: AdminAccess, symbol: SymbolPath
) -> Response:
    """Request that a symbol is taken off the watchlist; its history, forecasts and scores stay."""
    with reader.snapshot() as snapshot:
        stored = read_instrument(snapshot.connection, symbol).symbol
    return submitter.submit(principal, Submission(RequestKind.REMOVE_SYMBOL, {"symbol": stored}))
