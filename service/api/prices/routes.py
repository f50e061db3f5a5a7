"""GET /v1/prices/{symbol}."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from service.api.common import etag
from service.api.common.dependencies import Reader, ReaderDependency
from service.api.common.errors import BadParameter
from service.api.common.pagination import cut, decode, encode
from service.api.common.parameters import Cursor, First, Last, SymbolPath
from service.api.common.rows import InstrumentRow
from service.api.common.schemas import problems
from service.api.formats.negotiate import TABLES, VARY, FormatDependency
from service.api.formats.table import CHUNK, Column, ItemLimit, next_link, page_limit, table_limit, table_response
from service.api.prices.queries import AdjustmentFactors, Span, read_bars, read_factors, read_last_session
from service.api.prices.schemas import PriceBar, PricePage
from service.api.symbols.queries import read_instrument
from service.errors import DatabaseError

router = APIRouter(prefix="/v1/prices", tags=["prices"])

_KIND = "prices"

_COLUMNS = (
    Column("symbol", "text"),
    Column("session", "date"),
    Column("open", "float"),
    Column("high", "float"),
    Column("low", "float"),
    Column("close", "float"),
    Column("adjusted_close", "float"),
    Column("volume", "float"),
    Column("revision", "integer"),
    Column("fetched_at", "instant"),
)


@dataclass(frozen=True, slots=True)
class _Bars:
    """The parameters of a page or table."""

    symbol: SymbolPath
    first: First = None
    last: Last = None
    cursor: Cursor = None
    limit: ItemLimit = None


@router.get(
    "/{symbol}",
    summary="Bars with adjusted closes",
    response_model=PricePage,
    responses={**TABLES, **etag.NOT_MODIFIED, **problems(404)},
)
def list_prices(
    request: Request,
    response: Response,
    reader: ReaderDependency,
    wanted: Annotated[_Bars, Depends()],
    chosen: FormatDependency,
) -> PricePage | Response:
    """The stored bars of a symbol between two sessions, newest first, on its newest split basis.

    With `format` the answer is one table, streamed, of up to 1,000,000 bars.
    """
    if wanted.first is not None and wanted.last is not None and wanted.first > wanted.last:
        raise BadParameter("first", f"is {wanted.first}, which is after last={wanted.last}; swap them")
    keys = decode(_KIND, wanted.cursor, date)
    before = None if keys is None else date.fromisoformat(str(keys[0]))
    limit = page_limit(wanted.limit) if chosen == "json" else table_limit(wanted.limit)
    with reader.snapshot() as snapshot:
        tag = etag.entity_tag(request, snapshot, chosen)
        if etag.matches(request, tag):
            return etag.not_modified(tag, VARY)
        instrument = read_instrument(snapshot.connection, wanted.symbol)
        span = Span(instrument.symbol, wanted.first, wanted.last, before)
        if chosen == "json":
            stored_bars = read_bars(snapshot.connection, span, limit + 1)
        else:
            last = read_last_session(snapshot.connection, span, limit)
            factors = read_factors(snapshot.connection, instrument.symbol)
    if chosen != "json":
        headers = {"ETag": tag, **next_link(request, None if last is None else encode(_KIND, last))}
        chunks = _chunks(reader, instrument, _Selection(span, limit, factors))
        return table_response(chosen, f"{instrument.symbol}-prices", _COLUMNS, chunks, headers)
    page_bars, next_cursor = cut(stored_bars, limit, _KIND, lambda bar: (bar.session,))
    response.headers.update({**VARY, "ETag": tag})
    return PricePage(
        symbol=instrument.symbol,
        currency=instrument.currency,
        calendar=instrument.calendar,
        basis=instrument.basis,
        items=[PriceBar.of(bar) for bar in page_bars],
        next_cursor=next_cursor,
    )


@dataclass(frozen=True, slots=True)
class _Selection:
    """The bars of a table."""

    span: Span
    limit: int
    factors: AdjustmentFactors


def _chunks(reader: Reader, instrument: InstrumentRow, wanted: _Selection) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of the table in parts, in the order of `_COLUMNS`; no connection is held while a client reads.

    Raises:
        DatabaseError: a split moved all prices meanwhile; the table is cut off.
    """
    names = [column.name for column in _COLUMNS[1:]]
    span, left = wanted.span, wanted.limit
    while left > 0:
        most = min(CHUNK, left)
        with reader.snapshot() as snapshot:
            if read_instrument(snapshot.connection, instrument.symbol).basis != instrument.basis:
                raise DatabaseError(f"the prices of {instrument.symbol} were moved by a split; ask for them again")
            part = read_bars(snapshot.connection, span, most, wanted.factors)
        yield [(instrument.symbol, *(getattr(bar, name) for name in names)) for bar in part]
        if len(part) < most:
            return
        span, left = replace(span, before=part[-1].session), left - most
