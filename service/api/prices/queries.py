"""Reads a page of bars with adjusted closes."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, select

from service.db.tables import bars, corporate_actions
from service.prices.adjustment.adjust import adjustment_factors
from service.prices.adjustment.corporate_actions import Action, ActionKind


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


def page(connection: Connection, span: Span, limit: int) -> list[tuple[Row[Any], float]]:
    """Return bars, newest first, each with its adjusted close.

    Args:
        connection: Open for reading.
        span: Selection.
        limit: Most bars.
    """
    query = select(bars).where(bars.c.symbol == span.symbol).order_by(bars.c.session.desc()).limit(limit)
    if span.first is not None:
        query = query.where(bars.c.session >= span.first)
    if span.last is not None:
        query = query.where(bars.c.session <= span.last)
    if span.before is not None:
        query = query.where(bars.c.session < span.before)
    rows = list(connection.execute(query))
    if not rows:
        return []
    factors = _factors(connection, span.symbol, rows[-1].session)
    return [(row, row.close * factors[row.session]) for row in rows]


def _factors(connection: Connection, symbol: str, first: date) -> dict[date, float]:
    """Return the adjustment factors by session from `first` (inclusive) to the newest bar."""
    later = select(bars.c.session, bars.c.close).where(bars.c.symbol == symbol, bars.c.session >= first)
    rows = list(connection.execute(later.order_by(bars.c.session)))
    query = select(corporate_actions.c.ex_date, corporate_actions.c.kind, corporate_actions.c.value).where(
        corporate_actions.c.symbol == symbol, corporate_actions.c.ex_date > first
    )
    known = [Action(row.ex_date, ActionKind(row.kind), row.value) for row in connection.execute(query)]
    days = [row.session for row in rows]
    closes = np.array([row.close for row in rows], np.float64)
    factors = adjustment_factors(np.array(days, "datetime64[D]"), closes, known)
    return dict(zip(days, factors.tolist(), strict=True))
