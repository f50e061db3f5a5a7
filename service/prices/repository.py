"""Reads stored corporate actions, and whether a bar is stored."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Connection, select

from service.db.tables import bars, corporate_actions
from service.prices.adjustment.corporate_actions import Action, ActionKind


def read_actions(connection: Connection, symbol: str) -> tuple[Action, ...]:
    """Return the corporate actions of one symbol, oldest first."""
    return read_actions_of(connection, [symbol])[symbol]


def read_actions_of(
    connection: Connection, symbols: Sequence[str], first: date | None = None
) -> dict[str, tuple[Action, ...]]:
    """Return the corporate actions of several symbols with ex-dates from `first` (inclusive) on, oldest first."""
    query = select(
        corporate_actions.c.symbol, corporate_actions.c.ex_date, corporate_actions.c.kind, corporate_actions.c.value
    )
    query = query.where(corporate_actions.c.symbol.in_(list(symbols)))
    if first is not None:
        query = query.where(corporate_actions.c.ex_date >= first)
    query = query.order_by(corporate_actions.c.symbol, corporate_actions.c.ex_date, corporate_actions.c.kind)
    found: dict[str, list[Action]] = {symbol: [] for symbol in symbols}
    for symbol, day, kind, value in connection.execute(query):
        found[symbol].append(Action(day, ActionKind(kind), value))
    return {symbol: tuple(actions) for symbol, actions in found.items()}


def has_bar(connection: Connection, symbol: str, session: date) -> bool:
    """Return whether a bar of the session is stored."""
    query = select(bars.c.session).where(bars.c.symbol == symbol, bars.c.session == session)
    return connection.execute(query).first() is not None
