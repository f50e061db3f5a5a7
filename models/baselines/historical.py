"""Historical quantiles: the empirical quantiles of each symbol's own newest returns."""

from dataclasses import dataclass

import numpy as np

from models.baselines.base import baseline_config, rows_by_symbol, serve
from models.config import QUANTILES, ModelConfig, Strategy
from models.forecaster import ForecastBatch
from models.preprocessing.price_history import FloatArray, Panel, PriceHistory
from models.preprocessing.windows import PooledWindows, known_returns

HISTORICAL = "historical"
"""Name of the forecaster."""

HISTORY = 500
"""Sessions whose returns are ranked, as_of included."""

MIN_RETURNS = 250
"""Known returns of a step among them below which there is no forecast."""

_CHUNK = 4_096
"""Rows ranked in one step: they are copied out of overlapping views."""


@dataclass(frozen=True, slots=True)
class Historical:
    """Per symbol and step, the quantiles of the returns over `step` sessions that end in the newest 500 sessions.

    Attributes:
        config: Its strategy gives the horizon.
    """

    config: ModelConfig

    def forecast_rows(self, panel: Panel, rows: PooledWindows) -> FloatArray:
        """Forecast rows of a panel (see `base.RowForecaster`)."""
        horizon = self.config.horizon
        quantiles = np.full((len(rows), horizon, len(QUANTILES)), np.nan)
        for part in rows_by_symbol(panel, rows):
            for step in range(1, horizon + 1):
                returns = known_returns(part.history, step)
                quantiles[part.positions, step - 1] = _trailing_quantiles(returns, part.rows)
        quantiles[np.isnan(quantiles).any(axis=(1, 2))] = np.nan
        return quantiles

    def forecast(self, panel: Panel) -> ForecastBatch:
        """Forecast every symbol from its last session; references are not read."""
        return serve(self, panel)

    def skip_reason(self, history: PriceHistory) -> str:
        """Return why a history with a sigma is not forecast."""
        known = int(
            (~np.isnan(known_returns(history.slice(max(0, len(history) - HISTORY - 1), len(history)), 1))).sum()
        )
        return (
            f"it has {known} returns in the {HISTORY} sessions up to {history.sessions[-1]}; "
            f"historical quantiles need {MIN_RETURNS} of every step"
        )


def historical(strategy: Strategy) -> Historical:
    """Return the baseline for a strategy; it needs no fit."""
    return Historical(baseline_config(HISTORICAL, strategy))


def _trailing_quantiles(returns: FloatArray, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> FloatArray:
    """Return `(k, 7)` quantiles of the newest returns up to each row, NaN where too few are known."""
    padded = np.concatenate([np.full(HISTORY - 1, np.nan), returns])
    newest = np.lib.stride_tricks.sliding_window_view(padded, HISTORY)
    quantiles = np.full((len(rows), len(QUANTILES)), np.nan)
    for start in range(0, len(rows), _CHUNK):
        values = newest[rows[start : start + _CHUNK]]
        known = (~np.isnan(values)).sum(axis=1)
        complete = known == HISTORY
        part = quantiles[start : start + _CHUNK]
        if complete.any():
            part[complete] = np.quantile(values[complete], QUANTILES, axis=1).T
        for row in np.flatnonzero(~complete & (known >= MIN_RETURNS)).tolist():
            part[row] = np.quantile(values[row][~np.isnan(values[row])], QUANTILES)
    return quantiles
