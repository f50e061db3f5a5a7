"""GET /v1/symbols."""

from typing import Annotated

from fastapi import APIRouter, Query

from service.api.common.dependencies import ReaderDependency
from service.api.common.pagination import cut, decode
from service.api.common.parameters import Cursor, GroupQuery, Limit
from service.api.common.schemas import problems
from service.api.symbols.queries import read_instrument_page
from service.api.symbols.schemas import SymbolItem, SymbolPage

router = APIRouter(prefix="/v1/symbols", tags=["symbols"])

_KIND = "symbols"


@router.get("", summary="The watchlist and the reference series", responses=problems())
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
