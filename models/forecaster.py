"""What every forecaster answers with, network or baseline, and the one interface they share."""

from dataclasses import dataclass
from typing import Protocol

from models.config import ModelConfig
from models.preprocessing.frame import FloatArray, Panel


@dataclass(frozen=True, slots=True)
class Refusal:
    """A symbol that gets no forecast from this forecaster.

    Attributes:
        symbol: Yahoo-style name.
        reason: One sentence for a person: what is missing, where.
    """

    symbol: str
    reason: str


@dataclass(frozen=True, slots=True)
class ForecastBatch:
    """Forecasts of several symbols, each made at the last session of its own frame.

    Attributes:
        symbols: The `n` symbols forecast, in the panel's order.
        quantiles: `(n, horizon, 7)` cumulative log returns from as_of to each step, ascending along the
            last axis in the order of `specs.QUANTILES`.
        sigma: `(n,)` EWMA daily volatility known at as_of, log-return units.
        last_close: `(n,)` adjusted close of the frame's last row, on that frame's own adjustment.
        degraded: Per symbol, the references the forecaster was trained with that are masked now.
        refusals: The symbols of the panel that got no forecast, in the panel's order.
    """

    symbols: tuple[str, ...]
    quantiles: FloatArray
    sigma: FloatArray
    last_close: FloatArray
    degraded: tuple[tuple[str, ...], ...]
    refusals: tuple[Refusal, ...]


class Forecaster(Protocol):
    """A trained network or a baseline."""

    @property
    def config(self) -> ModelConfig:
        """How it was made: the strategy, and so the horizon, stand there."""
        ...

    def forecast(self, panel: Panel) -> ForecastBatch:
        """Forecast every frame of a panel from its last session.

        Args:
            panel: Frames that end at as_of. What comes after as_of must not be in them; references may
                reach further, they are joined by instant.

        Returns:
            One forecast or one refusal per frame, each in the panel's order.
        """
        ...
