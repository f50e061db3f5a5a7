"""Prices of past forecasts: the median, the bounds of its intervals, and the close that followed."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from service.api.common.rows import ActionRow, InstrumentRow
from service.api.forecasts.forecast_prices import ForecastPrices
from service.api.forecasts.queries import read_later_actions
from service.api.history.queries import PastForecastRow

_SAME = 1e-9
"""Relative difference of two closes that are the same but for rounding."""


@dataclass(frozen=True, slots=True)
class PastPrices:
    """The prices of one past forecast, on its own split basis.

    Attributes:
        anchor: Price at a log return of 0.
        dividends: Subtracted from each price.
        actual: Close of the target session; None unless the forecast is scored.
        split_ratio: New shares per share since that basis.
    """

    anchor: float
    dividends: float
    actual: float | None
    split_ratio: float

    def price(self, log_return: float) -> float:
        """Return the price for a log return."""
        return self.anchor * math.exp(log_return) - self.dividends


class PriceScale:
    """Turns the returns of one symbol's past forecasts into prices."""

    def __init__(self, basis: int, actions: Sequence[ActionRow], known_at: datetime) -> None:
        """Create it.

        Args:
            basis: The symbol's split basis now.
            actions: Its dividends and splits.
            known_at: Aware UTC instant of the answer.
        """
        self._basis, self._known_at = basis, known_at
        self._actions = sorted(actions, key=lambda action: action.ex_date)
        self._days = [action.ex_date for action in self._actions]

    def of(self, row: PastForecastRow) -> PastPrices:
        """Return the prices of a forecast.

        Those of a scored forecast are on the closes of its score: they agree with `inside_50` and the others, also
        when a dividend was paid or a close was corrected in between.
        """
        later = self._actions[bisect_right(self._days, row.as_of) :]
        prices = ForecastPrices(row.basis, self._basis, later, self._known_at)
        if row.actual is None or row.target_close is None:
            return PastPrices(row.last_close, prices.dividends(row.target_session), None, prices.split_ratio)
        actual = row.target_close * prices.split_ratio
        anchor = actual / math.exp(row.actual)
        if math.isclose(anchor, row.last_close, rel_tol=_SAME):
            anchor = row.last_close
        return PastPrices(anchor, 0.0, actual, prices.split_ratio)


def read_price_scale(
    connection: Connection, instrument: InstrumentRow, rows: Sequence[PastForecastRow], now: datetime
) -> PriceScale:
    """Return the scale for the past forecasts of a symbol."""
    if not rows:
        return PriceScale(instrument.basis, (), now)
    actions = read_later_actions(connection, [instrument.symbol], min(row.as_of for row in rows))
    return PriceScale(instrument.basis, actions, now)
