"""Breaks of a price history: held-back bars after which the closes may be on another level."""

from collections.abc import Collection, Sequence
from datetime import date

import numpy as np
from sqlalchemy import Connection, select

from service.db.tables import quarantine
from service.prices.checks.outliers import JUMP
from service.prices.checks.row_checks import DateArray, FloatArray
from service.vocabulary import QuarantineState

_MOST_NAMES = 500

SAME_LEVEL = JUMP / 2
"""Largest absolute log return over held-back bars at which both sides are on one level: the bars were a spike."""


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


def find_breaks(sessions: DateArray, closes: FloatArray, held: Sequence[date] | DateArray) -> DateArray:
    """Return the held sessions over which the level of the closes may have changed, ascending.

    A held bar is no break where the closes before and after it are on one level, or where it has a close after all.
    While there is no close after it, it is a break.

    Args:
        sessions: `(n,)` datetime64[D], ascending.
        closes: `(n,)` adjusted closes, NaN where a bar is missing or held.
        held: Sessions whose bars are held back, ascending.
    """
    days = np.asarray(held, dtype="datetime64[D]")
    known = np.flatnonzero(~np.isnan(closes))
    if not len(days) or not len(known):
        return days
    days = days[~np.isin(days, sessions[known])]
    after = np.searchsorted(sessions[known], days)
    logs = np.log(closes[known])
    inside = (after > 0) & (after < len(known))
    change = np.full(len(days), np.inf)
    change[inside] = np.abs(logs[after[inside]] - logs[after[inside] - 1])
    return days[change > SAME_LEVEL]
