"""Shared code of the baselines: forecasts of many rows, and of the newest row of each symbol.

A baseline forecasts rows of a panel. Serving is the case of one row per symbol, so served and backtested forecasts
cannot differ.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from models.config import MEMORY, MIN_HISTORY_RANDOM_WALK, ModelConfig, Strategy
from models.forecaster import ForecastBatch, SkippedSymbol
from models.preprocessing.features import ewma_sigma
from models.preprocessing.price_history import FloatArray, Panel, PriceHistory
from models.preprocessing.windows import IntArray, PooledWindows, WindowRule, pool_windows


class RowForecaster(Protocol):
    """A baseline that forecasts rows of a panel."""

    @property
    def config(self) -> ModelConfig:
        """Its configuration; the strategy gives the horizon."""
        ...

    def forecast_rows(self, panel: Panel, rows: PooledWindows) -> FloatArray:
        """Forecast rows of a panel.

        Args:
            panel: Whole price histories; nothing after a row is read for that row.
            rows: All or some of the rows that `sigma_rows` returns for this panel.

        Returns:
            `(n, horizon, 7)` cumulative log returns, ascending along the last axis; NaN where the baseline does not
            forecast a row.
        """
        ...

    def forecast(self, panel: Panel) -> ForecastBatch:
        """See `forecaster.Forecaster`."""
        ...

    def skip_reason(self, history: PriceHistory) -> str:
        """Return why the last session of a history with a known sigma is not forecast, one sentence."""
        ...


@dataclass(frozen=True, slots=True)
class SymbolRows:
    """The rows of one symbol among pooled rows.

    Attributes:
        history: Price history of the symbol.
        positions: `(k,)` positions among the pooled rows.
        rows: `(k,)` rows of the history, each an as_of.
    """

    history: PriceHistory
    positions: IntArray
    rows: IntArray


def baseline_config(name: str, strategy: Strategy) -> ModelConfig:
    """Return the config of a baseline: a name and a strategy, no references, no network."""
    return ModelConfig(forecaster=name, strategy=strategy, lookback=1, seeds=(0,))


def sigma_rows(panel: Panel, horizon: int, min_bars: int = 1) -> PooledWindows:
    """Return all rows of a panel with a bar and a known sigma; unknown targets are NaN.

    Args:
        panel: Whole price histories; references are not read.
        horizon: Steps of the targets.
        min_bars: Bars that the symbol must have up to the row, inclusive.

    Returns:
        Windows of one session, ordered by symbol, then by as_of; `inputs` has no columns.
    """
    sigmas = [ewma_sigma(history.close) for history in panel.histories]
    no_inputs = np.empty((sum(len(history) for history in panel.histories), 0), dtype=np.float32)
    rule = WindowRule(1, horizon, require_targets=False, min_bars=min_bars, leave_out_stale=False)
    return pool_windows(panel.histories, sigmas, no_inputs, rule)


def rows_by_symbol(panel: Panel, rows: PooledWindows) -> Iterator[SymbolRows]:
    """Yield the pooled rows of each symbol that has any."""
    offset = 0
    for index, history in enumerate(panel.histories):
        positions = np.flatnonzero(rows.symbol_index == index)
        if len(positions):
            yield SymbolRows(history, positions, rows.ends[positions] - offset)
        offset += len(history)


def serve(baseline: RowForecaster, panel: Panel) -> ForecastBatch:
    """Forecast every symbol of a panel from its last session (see `forecaster.Forecaster`).

    Args:
        baseline: The forecaster.
        panel: Price histories that end at as_of, as long as the baseline needs.
    """
    rows = sigma_rows(panel, baseline.config.horizon)
    last = np.cumsum([len(history) for history in panel.histories], dtype=np.int64) - 1
    newest = rows.select(np.flatnonzero(rows.ends == last[rows.symbol_index]))
    quantiles = baseline.forecast_rows(panel, newest)
    known = ~np.isnan(quantiles).any(axis=(1, 2))
    forecast = [int(index) for index in newest.symbol_index[known]]
    with_sigma = set(newest.symbol_index.tolist())
    skipped = [
        SkippedSymbol(history.symbol, baseline.skip_reason(history) if index in with_sigma else no_sigma(history))
        for index, history in enumerate(panel.histories)
        if index not in forecast
    ]
    return ForecastBatch(
        symbols=tuple(panel.histories[index].symbol for index in forecast),
        quantiles=quantiles[known],
        sigma=newest.sigma[known],
        last_close=np.array([panel.histories[index].close[-1] for index in forecast], dtype=np.float64),
        degraded=((),) * len(forecast),
        skipped=tuple(skipped),
    )


def no_sigma(history: PriceHistory) -> str:
    """Return why a history has no volatility at its last session, one sentence."""
    if not len(history):
        return "it has no sessions yet"
    as_of = history.sessions[-1]
    if np.isnan(history.close[-1]):
        return f"the bar of {as_of} is missing, and without it there is no forecast"
    bars = int((~np.isnan(history.close[-MEMORY:])).sum())
    return (
        f"it has {bars} bars in the {MEMORY} sessions up to {as_of}; {MIN_HISTORY_RANDOM_WALK} are needed, "
        "some of them on neighbouring sessions"
    )
