"""Reads a page of bars with adjusted closes."""

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import compress, product
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, select

from service.api.common.rows import columns_of, read_rows
from service.db.tables import bars, corporate_actions
from service.prices.adjustment.corporate_actions import ActionKind

Bounds = tuple[bool, ...]
"""Whether a statement has the bounds first, last and before."""


class BarRow(NamedTuple):
    """A row of `bars`."""

    session: date
    open: float | None
    high: float | None
    low: float | None
    close: float
    volume: float | None
    revision: int
    fetched_at: datetime


class AdjustedBar(NamedTuple):
    """A row of `bars` with its adjusted close."""

    session: date
    open: float | None
    high: float | None
    low: float | None
    close: float
    volume: float | None
    revision: int
    fetched_at: datetime
    adjusted_close: float


@dataclass(frozen=True, slots=True)
class Span:
    """Selects bars of a symbol.

    Attributes:
        symbol: Yahoo-style name.
        first: Oldest session (inclusive), None = no bound.
        last: Newest session (inclusive), None = no bound.
        before: Sessions before this one only (exclusive): the end of the previous page.
    """

    symbol: str
    first: date | None = None
    last: date | None = None
    before: date | None = None


class AdjustmentFactors:
    """The adjustment factors of a symbol's closes, from its actions alone.

    They are those of `adjustment_factors` over all its bars, to the last bit: most bars have no action.

    Args:
        steps: Session from which an action applies -> the factor of all sessions before it.
    """

    def __init__(self, steps: Mapping[date, float]) -> None:
        self._sessions = sorted(steps)
        products = [1.0]
        for session in reversed(self._sessions):
            products.append(products[-1] * steps[session])
        self._products = products[::-1]

    def of(self, session: date) -> float:
        """Return the factor of a session: the product of all later steps."""
        return self._products[bisect_right(self._sessions, session)]


def read_bars(
    connection: Connection, span: Span, limit: int, factors: AdjustmentFactors | None = None
) -> list[AdjustedBar]:
    """Return bars, newest first, each with its adjusted close.

    Args:
        connection: Open for reading.
        span: Selection.
        limit: Most bars.
        factors: The adjustment factors of the symbol; None = read them.
    """
    values = _values(span)
    rows = read_rows(connection, BarRow, _selected(_BARS, span), {**values, "limit": limit})
    if not rows:
        return []
    factors = read_factors(connection, span.symbol) if factors is None else factors
    return [AdjustedBar(*row, row.close * factors.of(row.session)) for row in rows]


def read_last_session(connection: Connection, span: Span, limit: int) -> date | None:
    """Return the session of the last of `limit` bars if others follow it, else None."""
    values = {**_values(span), "limit": 2, "offset": limit - 1}
    rows = list(connection.execute(_selected(_KEYS, span), values).scalars())
    return rows[0] if len(rows) == 2 else None


def read_factors(connection: Connection, symbol: str) -> AdjustmentFactors:
    """Return the adjustment factors of a symbol up to its newest bar."""
    steps: dict[date, float] = {}
    for kind, value, before, session in connection.execute(_ACTIONS, {"symbol": symbol}):
        if before is None or session is None:
            continue  # before the first bar, or after the last
        ratio = value if kind == ActionKind.FACTOR else 1.0 - value / before
        if math.isfinite(ratio) and ratio > 0.0:
            steps[session] = steps.get(session, 1.0) * ratio
    return AdjustmentFactors(steps)


def _values(span: Span) -> dict[str, Any]:
    """Return the values of the bounds that a span has."""
    bounds = {"first": span.first, "last": span.last, "before": span.before}
    return {"symbol": span.symbol, **{name: bound for name, bound in bounds.items() if bound is not None}}


def _selected(statements: Mapping[Bounds, Select[Any]], span: Span) -> Select[Any]:
    return statements[span.first is not None, span.last is not None, span.before is not None]


def _with_bounds(query: Select[Any]) -> Mapping[Bounds, Select[Any]]:
    """Return a statement with each combination of bounds: built once, as building takes longer than sending."""
    session = bars.c.session
    conditions = (session >= bindparam("first"), session <= bindparam("last"), session < bindparam("before"))
    return {
        chosen: query.where(*compress(conditions, chosen)) for chosen in product((False, True), repeat=len(conditions))
    }


def _actions() -> Select[Any]:
    table = corporate_actions.c
    bars_of = bars.alias("own")
    own = bars_of.c.symbol == table.symbol
    before = select(bars_of.c.close).where(own, bars_of.c.session < table.ex_date)
    session = select(bars_of.c.session).where(own, bars_of.c.session >= table.ex_date)
    return (
        select(
            table.kind,
            table.value,
            before.order_by(bars_of.c.session.desc()).limit(1).scalar_subquery(),
            session.order_by(bars_of.c.session).limit(1).scalar_subquery(),
        )
        .where(table.symbol == bindparam("symbol"), table.kind != ActionKind.SPLIT)
        .order_by(table.ex_date, table.kind, table.value)
    )


_NEWEST_FIRST = bars.c.session.desc()
_OWN = bars.c.symbol == bindparam("symbol")
_BARS = _with_bounds(select(*columns_of(bars, BarRow)).where(_OWN).order_by(_NEWEST_FIRST).limit(bindparam("limit")))
_KEYS = _with_bounds(
    select(bars.c.session).where(_OWN).order_by(_NEWEST_FIRST).limit(bindparam("limit")).offset(bindparam("offset"))
)
_ACTIONS = _actions()
