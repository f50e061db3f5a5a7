"""Turns log returns of a forecast into prices on its split basis."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from service.api.common.rows import ActionRow


@dataclass(frozen=True, slots=True)
class ForecastPrices:
    """The prices of one symbol's forecasts of one session.

    Attributes:
        basis: Split basis of the forecasts.
        current_basis: Split basis of the symbol now.
        actions: Dividends and splits after as_of (exclusive), as known now.
        known_at: Aware UTC instant of the answer; dividends fetched later are ignored (inclusive bound).
    """

    basis: int
    current_basis: int
    actions: Sequence[ActionRow]
    known_at: datetime
    _dividends: dict[date, float] = field(default_factory=dict, init=False, compare=False)

    @property
    def split_ratio(self) -> float:
        """New shares per share since the forecast's basis."""
        if self.current_basis == self.basis:
            return 1.0
        return float(math.prod(action.value for action in self.actions if action.kind == "split"))

    def dividends(self, target: date) -> float:
        """Return known dividends per share on the forecast's basis, ex after as_of up to `target` (inclusive)."""
        known = self._dividends.get(target)
        if known is None:  # an answer has three targets and dozens of prices
            known = self._dividends[target] = self._sum_dividends(target)
        return known

    def _sum_dividends(self, target: date) -> float:
        # Stored dividends are on the newest basis, the forecast's close on its own.
        amounts = (
            action.value
            for action in self.actions
            if action.kind == "dividend" and action.ex_date <= target and action.fetched_at <= self.known_at
        )
        return float(sum(amounts)) * self.split_ratio

    def price(self, last_close: float, target: date, log_return: float) -> float:
        """Return the price for a log return, on the forecast's basis, less known dividends up to the target."""
        return self.pricer(last_close, target)(log_return)

    def pricer(self, last_close: float, target: date) -> Callable[[float], float]:
        """Return the function from a log return to the price; see `price`."""
        dividends, exp = self.dividends(target), math.exp
        return lambda log_return: float(last_close * exp(log_return) - dividends)
