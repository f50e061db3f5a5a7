"""Reads a page of bars with adjusted closes."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection, select

from service.api.common.rows import columns_of, read_rows
from service.db.tables import bars, corporate_actions
from service.prices.adjustment.adjust import adjustment_factors
from service.prices.adjustment.corporate_actions import Action, ActionKind


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


def read_bars(connection: Connection, span: Span, limit: int) -> list[AdjustedBar]:
    """Return bars, newest first, each with its adjusted close.

    Args:
        connection: Open for reading.
        span: Selection.
        limit: Most bars.
    """
    query = select(*columns_of(bars, BarRow)).where(bars.c.symbol == span.symbol)
    query = query.order_by(bars.c.session.desc()).limit(limit)
    if span.first is not None:
        query = query.where(bars.c.session >= span.first)
    if span.last is not None:
        query = query.where(bars.c.session <= span.last)
    if span.before is not None:
        query = query.where(bars.c.session < span.before)
    rows = read_rows(connection, BarRow, query)
    if not rows:
        return []
    factors = _read_factors(connection, span.symbol, rows[-1].session)
    return [AdjustedBar(*row, row.close * factors[row.session]) for row in rows]


def _read_factors(connection: Connection, symbol: str, first: date) -> dict[date, float]:
    """Return the adjustment factors by session from `first` (inclusive) to the newest bar."""
    # All later bars are read, also those after the page: their actions adjust every bar before them.
    later = select(bars.c.session, bars.c.close).where(bars.c.symbol == symbol, bars.c.session >= first)
    rows = list(connection.execute(later.order_by(bars.c.session)))
    query = select(corporate_actions.c.ex_date, corporate_actions.c.kind, corporate_actions.c.value).where(
        corporate_actions.c.symbol == symbol, corporate_actions.c.ex_date > first
    )
    actions = [Action(row.ex_date, ActionKind(row.kind), row.value) for row in connection.execute(query)]
    days = [row.session for row in rows]
    closes = np.array([row.close for row in rows], np.float64)
    factors = adjustment_factors(np.array(days, "datetime64[D]"), closes, actions)
    return dict(zip(days, factors.tolist(), strict=True))
