"""What takes part in a backtest, and what it answers with.

An `BacktestForecaster` is fitted once for each fold and then asked for every forecast of the fold's dates at once. What
it answers must be what `forecast` serves for a panel cut at each as_of: nothing that is not final by then.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from models.backtest.folds import Fold
from models.config import QUANTILES, ModelConfig
from models.forecaster import ForecastBatch, Forecaster, SkippedSymbol
from models.preprocessing.frame import DateArray, FloatArray, Panel
from models.preprocessing.windows import IntArray, PooledWindows
from models.training.holdout import actual_returns

F = TypeVar("F", bound=Forecaster)

Tell = Callable[[float], None]
"""Told of the share of a fit that is done, 0..1."""

RECURSIVE = "recursive"
"""The strategy that applies the one-step forecaster again and again; see `models.backtest.recursive`."""


@dataclass(frozen=True, slots=True)
class ForecastHistory:
    """Forecasts of many symbols at many as_of sessions, `n` rows ordered by symbol, then by as_of.

    Attributes:
        symbol_index: `(n,)` position of the symbol in the panel.
        as_of: `(n,)` datetime64[D].
        final_at: `(n,)` datetime64[s] UTC, when as_of's bar is final.
        target_final_at: `(n, horizon)` datetime64[s] UTC, when each target's bar is final; NaT where unknown.
        sigma: `(n,)` EWMA daily volatility known at as_of, log-return units.
        raw: `(n, horizon, 7)` cumulative log returns from as_of, ascending in the order of `specs.QUANTILES`.
        actual: `(n, horizon)` what came, cumulative log returns; NaN where unknown.
        facts: JSON-able figures of the fit; may be empty.
        seeds: Per seed its own `(n, horizon, 7)` raw quantiles, for the spread between seeds; empty without seeds.
        refusals: Symbols that the entrant has no forecast for at all, with the reason.
    """

    symbol_index: IntArray
    as_of: DateArray
    final_at: DateArray
    target_final_at: DateArray
    sigma: FloatArray
    raw: FloatArray
    actual: FloatArray
    facts: Mapping[str, Any] = field(default_factory=dict)
    seeds: Mapping[int, FloatArray] = field(default_factory=dict)
    refusals: tuple[SkippedSymbol, ...] = ()

    def __post_init__(self) -> None:
        n, horizon = self.actual.shape
        if self.raw.shape != (n, horizon, len(QUANTILES)) or len(self.as_of) != n:
            raise ValueError(
                f"a history of {n} rows and {horizon} steps cannot have quantiles of shape {self.raw.shape} "
                f"and {len(self.as_of)} dates; give every column the same rows"
            )

    def __len__(self) -> int:
        return len(self.as_of)


class FittedForecaster(Forecaster, Protocol):
    """A forecaster that was fitted for a fold."""

    def history(self, panel: Panel, first: np.datetime64, last: np.datetime64) -> ForecastHistory:
        """Forecast every symbol at every as_of session between two dates.

        Args:
            panel: Whole frames, which may reach beyond `last`; references likewise.
            first: First as_of session, inclusive.
            last: Last as_of session, inclusive.

        Returns:
            One row for each symbol and session with a valid window. Each equals, to rounding, what `forecast`
            answers for the panel as it stood when that as_of's bar was final.
        """
        ...


@dataclass(frozen=True, slots=True)
class Serving(Generic[F]):
    """The part of a `FittedForecaster` that serves; `history` is the other.

    Attributes:
        forecaster: What serves.
    """

    forecaster: F

    @property
    def config(self) -> ModelConfig:
        """How it was made."""
        return self.forecaster.config

    def forecast(self, panel: Panel) -> ForecastBatch:
        """See `forecast.Forecaster`."""
        return self.forecaster.forecast(panel)


class BacktestForecaster(Protocol):
    """A forecaster before it is fitted; plain data, so that it crosses process borders."""

    @property
    def name(self) -> str:
        """Name of the forecaster in the output, for example `lstm` or `random_walk`."""
        ...

    @property
    def strategy(self) -> str:
        """`one_step`, `multi_step` or `recursive`."""
        ...

    @property
    def lookback(self) -> int:
        """Sessions in a window; 1 where the forecaster has no windows."""
        ...

    def identity(self) -> Mapping[str, Any]:
        """JSON-able, everything about the entrant that determines its forecasts."""
        ...

    def fit(self, panel: Panel, fold: Fold, tell: Tell) -> FittedForecaster:
        """Fit for one fold on what was final before its first as_of.

        Args:
            panel: Whole frames; only what is final by `fold.train_until` (what is fitted) and `fold.cut_at`
                (what decides when to stop, or parameters of one symbol alone) may be read.
            fold: Dates and instants.
            tell: Told of progress.

        Raises:
            TooLittleHistory: The fold has too few sessions for this forecaster.
            UnknownNetwork: Nobody registered its network.
        """
        ...


def history_of(windows: PooledWindows, raw: FloatArray) -> ForecastHistory:
    """Forecasts of windows as a history, the outcomes unscaled.

    Args:
        windows: The `n` windows forecast, targets NaN where unknown.
        raw: `(n, horizon, 7)` log returns.
    """
    return ForecastHistory(
        symbol_index=windows.symbol_index,
        as_of=windows.as_of,
        final_at=windows.final_at,
        target_final_at=windows.target_final_at,
        sigma=windows.sigma,
        raw=raw,
        actual=actual_returns(windows),
    )


def between(windows: PooledWindows, first: np.datetime64, last: np.datetime64) -> PooledWindows:
    """Windows with as_of from `first` to `last`, both inclusive."""
    return windows.select((windows.as_of >= first) & (windows.as_of <= last))
