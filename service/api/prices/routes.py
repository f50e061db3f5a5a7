"""GET /v1/prices/{symbol}."""

from datetime import date

from fastapi import APIRouter

from service.api.common.dependencies import ReaderDependency
from service.api.common.errors import BadParameter
from service.api.common.pagination import cut, decode
from service.api.common.parameters import Cursor, First, Last, Limit, SymbolPath
from service.api.common.schemas import problems
from service.api.prices.queries import Span, read_bars
from service.api.prices.schemas import PriceBar, PricePage
from service.api.symbols.queries import read_instrument

router = APIRouter(prefix="/v1/prices", tags=["prices"])

_KIND = "prices"


@router.get("/{symbol}", summary="Bars with adjusted closes", responses=problems(404))
def bars(
    reader: ReaderDependency,
    symbol: SymbolPath,
    first: First = None,
    last: Last = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> PricePage:
    """The stored bars of a symbol between two sessions, newest first, on its newest split basis."""
    if first is not None and last is not None and first > last:
        raise BadParameter("first", f"is {first}, which is after last={last}; swap them")
    keys = decode(_KIND, cursor, date)
    before = None if keys is None else date.fromisoformat(str(keys[0]))
    with reader.snapshot() as snapshot:
        instrument = read_instrument(snapshot.connection, symbol)
        stored_bars = read_bars(snapshot.connection, Span(symbol, first, last, before), limit + 1)
    page_bars, next_cursor = cut(stored_bars, limit, _KIND, lambda bar: (bar.session,))
    return PricePage(
        symbol=symbol,
        currency=instrument.currency,
        calendar=instrument.calendar,
        basis=instrument.basis,
        items=[PriceBar.of(bar) for bar in page_bars],
        next_cursor=next_cursor,
    )
