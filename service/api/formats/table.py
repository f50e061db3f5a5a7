"""Tables of answers: their columns, their limits, and the streamed response."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, Literal

from fastapi import Query, Request
from starlette.responses import StreamingResponse

from service.api.common.errors import BadParameter
from service.api.common.parameters import PAGE_LIMIT
from service.api.formats.negotiate import MEDIA_TYPES, VARY, Format, TableFormat

ROWS_LIMIT = 1_000_000
"""Most items of a table."""

ROWS = 100_000
"""Items of a table without `limit`."""

PAGE = 100
"""Items of a JSON page without `limit`."""

CHUNK = 5_000
"""Rows that are read and encoded at a time."""

Kind = Literal["text", "float", "integer", "truth", "date", "instant"]
Row = Sequence[Any]

ItemLimit = Annotated[
    int | None,
    Query(
        ge=1,
        le=ROWS_LIMIT,
        description=f"items in a page, at most {PAGE_LIMIT}, default {PAGE}; of a table at most {ROWS_LIMIT}, "
        f"default {ROWS}",
    ),
]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its name, and the type of its values; every value may be missing."""

    name: str
    kind: Kind


def page_limit(limit: int | None) -> int:
    """Return the items of a JSON page.

    Raises:
        BadParameter: there are more than a page may have.
    """
    if limit is not None and limit > PAGE_LIMIT:
        raise BadParameter("limit", f"must be {PAGE_LIMIT} or less for a JSON page; '{limit}' was given")
    return PAGE if limit is None else limit


def table_limit(limit: int | None) -> int:
    """Return the items of a table."""
    return ROWS if limit is None else limit


def table_response(
    chosen: Format, name: str, columns: Sequence[Column], chunks: Iterator[Iterable[Row]], headers: Mapping[str, str]
) -> StreamingResponse:
    """Return a table as a streamed response.

    The first chunk is read here, so that an error in it is answered with a problem document.

    Args:
        chosen: `csv`, `parquet` or `arrow`.
        name: Name of the file without its ending.
        columns: The columns.
        chunks: The rows in parts; read while the response is sent, in threads of the server.
        headers: Further headers.
    """
    # Imported when needed: most processes of the API never make a table.
    from service.api.formats.encode import encode

    assert chosen != "json"
    form: TableFormat = chosen
    first = list(next(chunks, ()))
    ending = {"csv": "csv", "parquet": "parquet", "arrow": "arrows"}[form]
    media_type = f"{MEDIA_TYPES[form]}; charset=utf-8; header=present" if form == "csv" else MEDIA_TYPES[form]
    return StreamingResponse(
        encode(form, columns, chain((first,), chunks)),
        media_type=media_type,
        headers={
            **VARY,
            "Content-Disposition": f'attachment; filename="{name}.{ending}"',
            "X-Content-Type-Options": "nosniff",
            **headers,
        },
    )


def next_link(request: Request, cursor: str | None) -> dict[str, str]:
    """Return the header that names the rest of a cut table (RFC 8288), without a host; none without a cursor."""
    if cursor is None:
        return {}
    address = request.url.include_query_params(cursor=cursor)
    return {"Link": f'<{address.path}?{address.query}>; rel="next"'}
