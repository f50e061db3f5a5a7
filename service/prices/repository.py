"""Reads what is stored next to the bars: corporate actions and held-back sessions; and whether a bar is stored."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from service.db.tables import bars, corporate_actions, quarantine
from service.prices.adjustment.corporate_actions import Action, ActionKind
from service.vocabulary import QuarantineState

_MOST_NAMES = 500

_ACTIONS = select(
    corporate_actions.c.symbol, corporate_actions.c.ex_date, corporate_actions.c.kind, corporate_actions.c.value
).order_by(corporate_actions.c.symbol, corporate_actions.c.ex_date, corporate_actions.c.kind)
# Built once: building a statement takes longer than sending it.
_OWN_ACTIONS = _ACTIONS.where(corporate_actions.c.symbol == bindparam("symbol"))
_OWN_BAR = select(bars.c.session).where(bars.c.symbol == bindparam("symbol"), bars.c.session == bindparam("session"))


class Adjustments(NamedTuple):
    """What decides how the bars of a symbol are used.

    Attributes:
        actions: Its corporate actions, oldest first.
        held: Sessions whose bars are held back, ascending.
    """

    actions: tuple[Action, ...]
    held: tuple[date, ...]


def read_adjustments(connection: Connection, symbols: Sequence[str], first: date | None) -> dict[str, Adjustments]:
    """Return the actions with ex-dates from `first` (inclusive) on and all held-back sessions of several symbols."""
    actions, held = read_actions_of(connection, symbols, first), read_held(connection, symbols)
    return {symbol: Adjustments(actions[symbol], held.get(symbol, ())) for symbol in symbols}


def read_actions(connection: Connection, symbol: str) -> tuple[Action, ...]:
    """Return the corporate actions of one symbol, oldest first."""
    rows = connection.execute(_OWN_ACTIONS, {"symbol": symbol})
    return tuple(Action(day, ActionKind(kind), value) for _, day, kind, value in rows)


def read_actions_of(
    connection: Connection, symbols: Sequence[str], first: date | None = None
) -> dict[str, tuple[Action, ...]]:
    """Return the corporate actions of several symbols with ex-dates from `first` (inclusive) on, oldest first."""
    query = _ACTIONS.where(corporate_actions.c.symbol.in_(list(symbols)))
    if first is not None:
        query = query.where(corporate_actions.c.ex_date >= first)
    found: dict[str, list[Action]] = {symbol: [] for symbol in symbols}
    for symbol, day, kind, value in connection.execute(query):
        found[symbol].append(Action(day, ActionKind(kind), value))
    return {symbol: tuple(actions) for symbol, actions in found.items()}


def read_held(
    connection: Connection, symbols: Collection[str], state: QuarantineState | None = None
) -> dict[str, tuple[date, ...]]:
    """Return the sessions whose bars are held back by symbol, ascending; symbols without any are absent.

    Args:
        connection: Any connection.
        symbols: Among these.
        state: `open` or `rejected`; None = both.
    """
    states = (QuarantineState.OPEN, QuarantineState.REJECTED) if state is None else (state,)
    query = (
        select(quarantine.c.symbol, quarantine.c.session, quarantine.c.row)
        .where(quarantine.c.state.in_(states), quarantine.c.session.is_not(None))
        .order_by(quarantine.c.symbol, quarantine.c.session)
    )
    if len(symbols) <= _MOST_NAMES:  # the table is small, a list of names has a limit
        query = query.where(quarantine.c.symbol.in_(list(symbols)))
    found: dict[str, list[date]] = {}
    for symbol, session, row in connection.execute(query):
        if "kind" not in row:  # a suspect dividend holds back no bar
            found.setdefault(symbol, []).append(session)
    wanted = set(symbols)
    return {symbol: tuple(dict.fromkeys(days)) for symbol, days in found.items() if symbol in wanted}


def has_bar(connection: Connection, symbol: str, session: date) -> bool:
    """Return whether a bar of the session is stored."""
    return connection.execute(_OWN_BAR, {"symbol": symbol, "session": session}).first() is not None
