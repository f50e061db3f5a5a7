"""The random walk with drift: the mean return of each symbol in the train span is added."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.baselines.base import baseline_config, no_sigma, rows_by_symbol, serve, sigma_rows
from models.baselines.random_walk import MIN_RESIDUALS, STANDARD_NORMAL, scale_of_steps
from models.config import QUANTILES, ModelConfig, Strategy
from models.forecaster import ForecastBatch
from models.preprocessing.price_history import FloatArray, Panel, PriceHistory
from models.preprocessing.windows import PooledWindows

DRIFT = "drift"
"""Name of the forecaster."""

MIN_RETURNS = 250
"""Sessions of a symbol below which its drift is the mean over all symbols."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The forecast `step * drift + sigma * sqrt(step) * q`, with q the pooled quantiles of the scaled residuals.

    Attributes:
        config: Its strategy gives the horizon.
        quantiles: `(horizon, 7)` of `(y - step * drift) / (sigma * sqrt(step))`, ascending per step.
        drifts: Mean daily log return by symbol.
        pooled: Mean daily log return over all symbols, for a symbol that is not in `drifts`.
    """

    config: ModelConfig
    quantiles: tuple[tuple[float, ...], ...]
    drifts: Mapping[str, float]
    pooled: float

    def forecast_rows(self, panel: Panel, rows: PooledWindows) -> FloatArray:
        """Forecast rows of a panel (see `base.RowForecaster`)."""
        horizon = len(self.quantiles)
        scale = rows.sigma[:, None, None] * scale_of_steps(horizon)
        drift = _drift_of_rows(panel, rows, self.drifts, self.pooled)[:, None] * np.arange(1, horizon + 1)
        quantiles: FloatArray = drift[:, :, None] + scale * np.asarray(self.quantiles)
        return quantiles

    def forecast(self, panel: Panel) -> ForecastBatch:
        """Forecast every symbol from its last session; references are not read."""
        return serve(self, panel)

    def skip_reason(self, history: PriceHistory) -> str:
        """Return why there is no sigma, since every row with a sigma is forecast."""
        return no_sigma(history)


def fit_drift(panel: Panel, strategy: Strategy, cut_at: np.datetime64) -> Drift:
    """Estimate mean returns, and the quantiles of the residuals without them.

    Args:
        panel: Price histories; may end after the cut.
        strategy: Gives the horizon.
        cut_at: UTC instant, inclusive: only bars final by then count.
    """
    drifts: dict[str, float] = {}
    total, sessions = 0.0, 0
    for history in panel.histories:
        change, count = _change(history, cut_at)
        total, sessions = total + change, sessions + count
        if count >= MIN_RETURNS:
            drifts[history.symbol] = change / count
    pooled = total / sessions if sessions else 0.0
    rows = sigma_rows(panel, strategy.horizon)
    drift = _drift_of_rows(panel, rows, drifts, pooled)
    quantiles = []
    for step in range(1, strategy.horizon + 1):
        known = rows.target_final_at[:, step - 1] <= cut_at
        residuals = rows.targets[known, step - 1] - np.sqrt(step) * drift[known] / rows.sigma[known]
        enough = len(residuals) >= MIN_RESIDUALS
        measured = np.quantile(residuals, QUANTILES) if enough else np.asarray(STANDARD_NORMAL)
        quantiles.append(tuple(measured.tolist()))
    return Drift(baseline_config(DRIFT, strategy), tuple(quantiles), drifts, pooled)


def _change(history: PriceHistory, cut_at: np.datetime64) -> tuple[float, int]:
    """Return the log return from the first bar to the last one final by the cut, and the sessions between them.

    What happens across a break is unknown and not part of either.
    """
    rows = np.flatnonzero((history.final_at <= cut_at) & ~np.isnan(history.close))
    segments = history.segments[rows]
    change, sessions = 0.0, 0
    for segment in np.unique(segments):
        own = rows[segments == segment]
        change += float(np.log(history.close[own[-1]] / history.close[own[0]]))
        sessions += int(own[-1] - own[0])
    return change, sessions


def _drift_of_rows(panel: Panel, rows: PooledWindows, drifts: Mapping[str, float], pooled: float) -> FloatArray:
    """Return `(n,)` daily drifts of the rows' symbols."""
    drift = np.full(len(rows), pooled)
    for part in rows_by_symbol(panel, rows):
        drift[part.positions] = drifts.get(part.history.symbol, pooled)
    return drift
