"""Reads the past 80 % intervals of T as prices on the split basis of a forecast answer."""

from collections.abc import Sequence
from datetime import date

from service.api.common.dependencies import Snapshot
from service.api.common.schemas import Strategy
from service.api.forecasts.schemas import ForecastAnswer
from service.api.history.past_prices import PastPrices, read_price_scale
from service.api.history.queries import HistoryFilter, PastForecastRow, read_history
from service.charts.axis import MAX_SLOTS
from service.charts.past_intervals import PastInterval
from service.vocabulary import SERVED

_LAST_ID = 2**63 - 1
_SUPERSEDED = 20
"""Superseded rows between the others."""


def read_past_intervals(
    snapshot: Snapshot, answer: ForecastAnswer, strategy: Strategy, sessions: Sequence[date]
) -> list[PastInterval]:
    """Return the published intervals of T for sessions up to as_of, in the answer's mode.

    Args:
        snapshot: An open snapshot.
        answer: Answer of the forecast route.
        strategy: Strategy of the forecasts.
        sessions: Sessions of the figure; those after as_of do not count.

    Returns:
        At most one interval per session; none if there are more sessions than candles.
    """
    shown = {session for session in sessions if session <= answer.as_of}
    if not shown or len(shown) > MAX_SLOTS:
        return []
    filters = HistoryFilter(answer.symbol, SERVED, strategy=strategy, step=1, mode=answer.mode)
    limit = len(shown) + _SUPERSEDED
    rows = read_history(snapshot.connection, filters, (answer.as_of, _LAST_ID), limit)
    kept = [row for row in rows if row.target_session in shown and not row.superseded]
    if not kept:
        return []
    scale = read_price_scale(snapshot.connection, answer.symbol, answer.basis.current, kept, snapshot.now)
    return [_interval(answer, row, scale.of(row)) for row in kept]


def _interval(answer: ForecastAnswer, row: PastForecastRow, prices: PastPrices) -> PastInterval:
    # From the basis of that forecast to the newest, and on to the answer's.
    ratio = answer.basis.split_ratio / prices.split_ratio
    lower, point, upper = (prices.price(quantile) * ratio for quantile in (row.q10, row.q50, row.q90))
    return PastInterval(row.target_session, lower, point, upper, row.inside_80)
