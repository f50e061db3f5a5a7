"""The random walk with drift: each symbol's mean return of the fit span is added to it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.baselines.base import baseline_config, no_sigma, rows_by_image, serve, sigma_rows
from models.baselines.random_walk import MIN_RESIDUALS, STANDARD_NORMAL, scale_of_steps
from models.config import QUANTILES, ModelConfig, Strategy
from models.forecaster import ForecastBatch
from models.preprocessing.frame import FloatArray, Panel, PriceHistory
from models.preprocessing.windows import PooledWindows

DRIFT = "drift"
"""Its name among the forecasters."""

MIN_RETURNS = 250
"""Sessions of a symbol below which it drifts as the mean of all symbols does."""


@dataclass(frozen=True, slots=True)
class Drift:
    """`step * drift + sigma * sqrt(step) * q`, q the pooled quantiles of what is left without the drift.

    Attributes:
        recipe: Its strategy gives the horizon.
        quantiles: `(horizon, 7)` of `(y - step * drift) / (sigma * sqrt(step))`, ascending per step.
        drifts: Mean daily log return by symbol.
        pooled: The same over all symbols, for a symbol that is not in `drifts`.
    """

    config: ModelConfig
    quantiles: tuple[tuple[float, ...], ...]
    drifts: Mapping[str, float]
    pooled: float

    def over(self, panel: Panel, rows: PooledWindows) -> FloatArray:
        """Forecast rows of a panel (see `rows.RowForecaster`)."""
        horizon = len(self.quantiles)
        scale = rows.sigma[:, None, None] * scale_of_steps(horizon)
        moved = _drift_of_rows(panel, rows, self.drifts, self.pooled)[:, None] * np.arange(1, horizon + 1)
        answer: FloatArray = moved[:, :, None] + scale * np.asarray(self.quantiles)
        return answer

    def forecast(self, panel: Panel) -> ForecastBatch:
        """Forecast every frame from its last session; references are not read."""
        return serve(self, panel)

    def reason_against(self, frame: PriceHistory) -> str:
        """Every row with a sigma is forecast."""
        return no_sigma(frame)


def fit_drift(panel: Panel, strategy: Strategy, cut_at: np.datetime64) -> Drift:
    """Mean returns and what is left of the returns without them.

    Args:
        panel: Frames; may reach beyond the cut.
        strategy: Gives the horizon.
        cut_at: UTC instant, inclusive: only bars final by then count.
    """
    drifts: dict[str, float] = {}
    total, sessions = 0.0, 0
    for frame in panel.frames:
        change, count = _change(frame, cut_at)
        total, sessions = total + change, sessions + count
        if count >= MIN_RETURNS:
            drifts[frame.symbol] = change / count
    pooled = total / sessions if sessions else 0.0
    rows = sigma_rows(panel, strategy.horizon)
    drift = _drift_of_rows(panel, rows, drifts, pooled)
    quantiles = []
    for step in range(1, strategy.horizon + 1):
        known = rows.target_final_at[:, step - 1] <= cut_at
        left = rows.targets[known, step - 1] - np.sqrt(step) * drift[known] / rows.sigma[known]
        measured = np.quantile(left, QUANTILES) if len(left) >= MIN_RESIDUALS else np.asarray(STANDARD_NORMAL)
        quantiles.append(tuple(measured.tolist()))
    return Drift(baseline_config(DRIFT, strategy), tuple(quantiles), drifts, pooled)


def _change(frame: PriceHistory, cut_at: np.datetime64) -> tuple[float, int]:
    """Log return from a frame's first bar to its last one final by the cut, and the sessions between them."""
    rows = np.flatnonzero((frame.final_at <= cut_at) & ~np.isnan(frame.close))
    if len(rows) < 2:
        return 0.0, 0
    first, last = int(rows[0]), int(rows[-1])
    return float(np.log(frame.close[last] / frame.close[first])), last - first


def _drift_of_rows(panel: Panel, rows: PooledWindows, drifts: Mapping[str, float], pooled: float) -> FloatArray:
    """`(n,)` daily drift of each row's symbol."""
    drift = np.full(len(rows), pooled)
    for part in rows_by_image(panel, rows):
        drift[part.places] = drifts.get(part.frame.symbol, pooled)
    return drift
