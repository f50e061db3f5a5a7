"""The interface that networks and baselines share, and the forecasts that it returns."""

from dataclasses import dataclass
from typing import Protocol

from models.config import ModelConfig
from models.preprocessing.price_history import FloatArray, Panel


@dataclass(frozen=True, slots=True)
class SkippedSymbol:
    """A symbol that a forecaster does not forecast.

    Attributes:
        symbol: Yahoo-style name.
        reason: One sentence for the user: what is missing, and where.
    """

    symbol: str
    reason: str


@dataclass(frozen=True, slots=True)
class ForecastBatch:
    """Forecasts of several symbols, each as of the last session of its price history.

    Attributes:
        symbols: The `n` forecast symbols, in the panel's order.
        quantiles: `(n, horizon, 7)` cumulative log returns from as_of to each step, ascending along the
            last axis in the order of `config.QUANTILES`.
        sigma: `(n,)` EWMA daily volatility known at as_of, log-return units.
        last_close: `(n,)` adjusted close of the history's last row, on the adjustment of that history.
        degraded: Per symbol, the references that the forecaster was trained with and that are masked now.
        skipped: The symbols of the panel without a forecast, in the panel's order.
    """

    symbols: tuple[str, ...]
    quantiles: FloatArray
    sigma: FloatArray
    last_close: FloatArray
    degraded: tuple[tuple[str, ...], ...]
    skipped: tuple[SkippedSymbol, ...]


class Forecaster(Protocol):
    """A trained network or a baseline."""

    @property
    def config(self) -> ModelConfig:
        """Its configuration, with the strategy and therefore the horizon."""
        ...

    def forecast(self, panel: Panel) -> ForecastBatch:
        """Forecast every symbol of a panel from its last session.

        Args:
            panel: Price histories that end at as_of and hold nothing later; references may end later, since they
                are joined by instant.

        Returns:
            One forecast or one skipped symbol per price history, each in the panel's order.
        """
        ...
