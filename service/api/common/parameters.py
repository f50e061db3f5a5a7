"""Parameters of the routes: texts have a pattern and a length, numbers have bounds."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from fastapi import Header, Path, Query
from pydantic import AfterValidator, AwareDatetime, BeforeValidator

from service.api.common.errors import BadParameter
from service.api.common.pagination import MAX_LENGTH
from service.api.common.patterns import (
    CURSOR_PATTERN,
    IDEMPOTENCY_PATTERN,
    SYMBOL_PATTERN,
    SYMBOLS_PATTERN,
    WORD_PATTERN,
)
from service.validation_messages import shown

_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ISO_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})"
)
"""RFC 3339; seconds may be omitted."""
_MAX_ID = 2**63 - 1

PAGE_LIMIT = 500
"""Most items in a page."""

MAX_SYMBOLS = 500
"""Most symbols in a batch."""


def _iso_date(value: object) -> object:
    if not isinstance(value, str) or not _ISO_DATE.fullmatch(value):
        raise ValueError("must be a date, YYYY-MM-DD")
    return value


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is outside the years 1 to 9999 in UTC") from error


def split_symbols(text: str | None) -> list[str] | None:
    """Return the symbols of a comma-separated list, sorted and unique; None without a list.

    Raises:
        BadParameter: one is not a symbol, or there are too many.
    """
    if text is None:
        return None
    symbols = sorted({part.strip() for part in text.split(",") if part.strip()})
    if not symbols:
        raise BadParameter("symbols", "is empty; give symbols separated by commas, or omit it for the whole watchlist")
    if len(symbols) > MAX_SYMBOLS:
        raise BadParameter("symbols", f"names {len(symbols)} symbols; at most {MAX_SYMBOLS} are allowed in one request")
    for symbol in symbols:
        if re.fullmatch(SYMBOL_PATTERN, symbol, re.ASCII) is None:
            raise BadParameter("symbols", f"holds {shown(symbol)}, which is not a symbol; write AAPL,7203.T,BTC-USD")
    return symbols


def _iso_instant(value: object) -> object:
    if not isinstance(value, str) or not _ISO_INSTANT.fullmatch(value):
        raise ValueError("must be an instant with its zone, such as 2018-06-01T21:40:00Z")
    return value


IsoDate = Annotated[date, BeforeValidator(_iso_date)]
SymbolPath = Annotated[
    str, Path(pattern=SYMBOL_PATTERN, description="Yahoo-style name, in any letter case", examples=["AAPL"])
]
SymbolsQuery = Annotated[
    str | None,
    Query(
        max_length=25_000,
        description="symbols in any letter case, separated by commas; default: the watchlist",
        json_schema_extra={"pattern": SYMBOLS_PATTERN},  # `split_symbols` checks it, and names the wrong one
    ),
]
AsOf = Annotated[IsoDate | None, Query(description="last completed session the forecast used; default: the newest")]
KnownAt = Annotated[
    Annotated[AwareDatetime, BeforeValidator(_iso_instant), AfterValidator(_utc)] | None,
    Query(description="answer as it was known at this market-time instant (inclusive); default: now"),
]
First = Annotated[IsoDate | None, Query(description="oldest session (inclusive)")]
Last = Annotated[IsoDate | None, Query(description="newest session (inclusive)")]
Cursor = Annotated[
    str | None,
    Query(max_length=MAX_LENGTH, pattern=CURSOR_PATTERN, description="`next_cursor` of the previous page"),
]
Limit = Annotated[int, Query(ge=1, le=PAGE_LIMIT, description="items in a page")]
StrategyQuery = Annotated[Literal["one_step", "multi_step"] | None, Query(description="one_step or multi_step")]
StepQuery = Annotated[int | None, Query(ge=1, le=3, description="1 = T, 2 = T+1, 3 = T+2")]
ModeQuery = Annotated[Literal["live", "replay", "backfill"] | None, Query(description="how editions were made")]
GroupQuery = Annotated[str | None, Query(pattern=WORD_PATTERN, description="training group, such as equity")]
StatusQuery = Annotated[
    Literal["champion", "challenger", "retired", "rejected"] | None, Query(description="status of the version now")
]
JobQuery = Annotated[Literal["pull", "score", "forecast", "train", "backfill"] | None, Query(description="kind of run")]
RunScopeQuery = Annotated[str | None, Query(pattern=WORD_PATTERN, description="a calendar, or a group for train")]
RunStateQuery = Annotated[
    Literal["due", "running", "waiting", "done", "failed", "superseded"] | None, Query(description="state of the run")
]
RecordScopeQuery = Annotated[str | None, Query(pattern=WORD_PATTERN, description="a symbol or a group")]
ForecasterQuery = Annotated[str | None, Query(pattern=WORD_PATTERN, description="served, or a network or baseline")]
RequestStateQuery = Annotated[
    Literal["pending", "accepted", "done", "failed", "rejected"] | None, Query(description="state of the request")
]
RequestKindQuery = Annotated[
    Literal["run", "symbols.add", "symbols.remove", "models.promote", "models.rollback", "models.pin", "models.unpin"]
    | None,
    Query(description="what the request changes"),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=IDEMPOTENCY_PATTERN,
        min_length=1,
        max_length=200,
        description="a request that is repeated with the same key within 24 hours gets the first answer",
    ),
]
Id = Annotated[int, Path(ge=1, le=_MAX_ID)]
