"""The interface of forecasters in a backtest, and the forecasts that they return.

A `BacktestForecaster` is fitted once for each fold and then computes all forecasts of the fold's dates in one call.
They must equal what `forecast` serves for a panel cut at each as_of: nothing that is not final by then is read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from models.backtest.folds import Fold
from models.config import QUANTILES, ModelConfig
from models.forecaster import ForecastBatch, Forecaster, SkippedSymbol
from models.preprocessing.price_history import DateArray, FloatArray, Panel
from models.preprocessing.windows import IntArray, PooledWindows
from models.training.holdout import actual_returns

F = TypeVar("F", bound=Forecaster)

ReportShare = Callable[[float], None]
"""Callback with the share of a fit that is done, 0..1."""

RECURSIVE = "recursive"
"""Name of the strategy that applies the one-step forecaster repeatedly; see `models.backtest.recursive`."""


@dataclass(frozen=True, slots=True)
class ForecastHistory:
    """Forecasts of many symbols at many as_of sessions, `n` rows ordered by symbol, then by as_of.

    Attributes:
        symbol_index: `(n,)` position of the symbol in the panel.
        as_of: `(n,)` datetime64[D].
        final_at: `(n,)` datetime64[s] UTC, when as_of's bar is final.
        target_final_at: `(n, horizon)` datetime64[s] UTC, when each target's bar is final; NaT if unknown.
        sigma: `(n,)` EWMA daily volatility known at as_of, log-return units.
        raw: `(n, horizon, 7)` cumulative log returns from as_of, ascending in the order of `config.QUANTILES`.
        actual: `(n, horizon)` actual cumulative log returns; NaN if unknown.
        facts: JSON-serializable figures of the fit; may be empty.
        seeds: Per seed the `(n, horizon, 7)` raw quantiles, for the spread between seeds; empty without seeds.
        skipped: Symbols that the forecaster does not forecast at all, with the reason.
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
    skipped: tuple[SkippedSymbol, ...] = ()

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
    """A forecaster fitted for a fold."""

    def history(self, panel: Panel, first: np.datetime64, last: np.datetime64) -> ForecastHistory:
        """Forecast all symbols at all as_of sessions between two dates.

        Args:
            panel: Whole price histories, which may reach beyond `last`; references likewise.
            first: First as_of session, inclusive.
            last: Last as_of session, inclusive.

        Returns:
            One row for each symbol and session with a valid window. Each equals, to rounding, the result of `forecast`
            for the panel as it was when the bar of that as_of was final.
        """
        ...


@dataclass(frozen=True, slots=True)
class ServingForecaster(Generic[F]):
    """The serving half of a `FittedForecaster`; subclasses add `history`.

    Attributes:
        forecaster: The forecaster that serves.
    """

    forecaster: F

    @property
    def config(self) -> ModelConfig:
        """Configuration of the forecaster."""
        return self.forecaster.config

    def forecast(self, panel: Panel) -> ForecastBatch:
        """See `forecaster.Forecaster`."""
        return self.forecaster.forecast(panel)


class BacktestForecaster(Protocol):
    """A forecaster before it is fitted; plain data, so that it can be passed to a process."""

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
        """Sessions in a window; 1 if the forecaster has no windows."""
        ...

    def identity(self) -> Mapping[str, Any]:
        """Return all that determines the forecasts, JSON-serializable."""
        ...

    def fit(self, panel: Panel, fold: Fold, report: ReportShare) -> FittedForecaster:
        """Fit for one fold on what was final before its first as_of.

        Args:
            panel: Whole price histories. Training may read only what is final by `fold.train_until`; early stopping,
                and parameters of a single symbol, only what is final by `fold.cut_at`.
            fold: Dates and instants.
            report: Called with the progress.

        Raises:
            TooLittleHistory: The fold has too few sessions for this forecaster.
            UnknownNetwork: Its network is not registered.
        """
        ...


def build_history(windows: PooledWindows, raw: FloatArray) -> ForecastHistory:
    """Return forecasts of windows as a history, with the outcomes unscaled.

    Args:
        windows: The `n` forecast windows, targets NaN if unknown.
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
    """Return the windows with as_of from `first` to `last`, both inclusive."""
    return windows.select((windows.as_of >= first) & (windows.as_of <= last))
