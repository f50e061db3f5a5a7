"""Historical quantiles: what each symbol did over its own newest sessions, and nothing else."""

from dataclasses import dataclass

import numpy as np

from models.baselines.base import baseline_config, log_returns, rows_by_image, serve
from models.config import QUANTILES, ModelConfig, Strategy
from models.forecaster import ForecastBatch
from models.preprocessing.frame import FloatArray, Panel, PriceHistory
from models.preprocessing.windows import PooledWindows

HISTORICAL = "historical"
"""Its name among the forecasters."""

HISTORY = 500
"""Sessions whose returns are ranked, as_of included."""

LEAST_RETURNS = 250
"""Known returns of a step among them below which there is no forecast."""

_CHUNK = 4_096
"""Rows ranked at once: they are copied out of overlapping views."""


@dataclass(frozen=True, slots=True)
class Historical:
    """Per symbol and step the quantiles of the returns over `step` sessions that ended in the newest 500.

    Attributes:
        recipe: Its strategy gives the horizon.
    """

    config: ModelConfig

    def over(self, panel: Panel, rows: PooledWindows) -> FloatArray:
        """Forecast rows of a panel (see `rows.RowForecaster`)."""
        horizon = self.config.horizon
        answer = np.full((len(rows), horizon, len(QUANTILES)), np.nan)
        for part in rows_by_image(panel, rows):
            for step in range(1, horizon + 1):
                answer[part.places, step - 1] = _ranked(log_returns(part.frame.close, step), part.rows)
        answer[np.isnan(answer).any(axis=(1, 2))] = np.nan
        return answer

    def forecast(self, panel: Panel) -> ForecastBatch:
        """Forecast every frame from its last session; references are not read."""
        return serve(self, panel)

    def reason_against(self, frame: PriceHistory) -> str:
        """Why a frame with a sigma gets no forecast."""
        known = int((~np.isnan(log_returns(frame.close[-HISTORY - 1 :], 1))).sum())
        return (
            f"it has {known} returns in the {HISTORY} sessions up to {frame.sessions[-1]}; "
            f"historical quantiles need {LEAST_RETURNS} of every step"
        )


def historical(strategy: Strategy) -> Historical:
    """The one that there is for a strategy: nothing is fitted."""
    return Historical(baseline_config(HISTORICAL, strategy))


def _ranked(returns: FloatArray, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> FloatArray:
    """`(k, 7)` quantiles of the newest returns up to each row, NaN where too few are known."""
    padded = np.concatenate([np.full(HISTORY - 1, np.nan), returns])
    newest = np.lib.stride_tricks.sliding_window_view(padded, HISTORY)
    answer = np.full((len(rows), len(QUANTILES)), np.nan)
    for start in range(0, len(rows), _CHUNK):
        values = newest[rows[start : start + _CHUNK]]
        known = (~np.isnan(values)).sum(axis=1)
        whole = known == HISTORY
        part = answer[start : start + _CHUNK]
        if whole.any():
            part[whole] = np.quantile(values[whole], QUANTILES, axis=1).T
        for row in np.flatnonzero(~whole & (known >= LEAST_RETURNS)).tolist():
            part[row] = np.quantile(values[row][~np.isnan(values[row])], QUANTILES)
    return answer
