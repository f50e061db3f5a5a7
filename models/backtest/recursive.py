"""The recursive strategy: the one-step forecaster forecasts T+1 and T+2 along sampled paths.

For each as_of, paths of T are drawn from the forecast of T. Each drawn close becomes a synthetic session, the
window moves forward by one, and the same forecaster forecasts the next session. A synthetic session holds only its
close. Its open, high, low and volume are unknown (NaN), which scaling turns into the mean of the training span;
reference series are masked in it, since they are unknown; its date is the next weekday. Range, gap and volume along
a path are therefore neutral, and only the return, and the volatilities computed from returns, change. The last step
of a path is not drawn: its whole distribution enters the mixture, which lowers the noise of the draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.backtest.path_sampling import inverse_cdf, mixture_quantiles, stratified_levels
from models.config import MEMORY, MULTI_STEP_HORIZON, QUANTILES, ModelConfig
from models.forecaster import ForecastBatch
from models.forecasting.network_forecaster import NetworkForecaster
from models.preprocessing.price_history import FloatArray, Panel, PriceHistory
from models.preprocessing.windows import Float32Array, PooledWindows

PATHS = 16
"""Paths drawn for each forecast; each path is one new window for each further step."""

SEED = 7
"""Seed of the draws, the same for all symbols and sessions."""

_SPREAD = (np.arange(32) + 0.5) / 32
"""Levels at which the distribution of the last step of each path is evaluated."""

_TAIL = 2 * MEMORY
"""Rows of history of a path: more than the features look back on, which allows a few holes."""

_BATCH = 64
"""As_of sessions per batch, each with all its paths."""


@dataclass(frozen=True, slots=True)
class RecursiveForecaster:
    """A one-step network that forecasts three steps.

    Attributes:
        one_step: The trained one-step forecaster.
        paths: Paths drawn for each forecast, 1 or more.
        seed: Seed of the draws.
    """

    one_step: NetworkForecaster
    paths: int = PATHS
    seed: int = SEED

    @property
    def config(self) -> ModelConfig:
        """Configuration of the one-step network."""
        return self.one_step.config

    def quantiles(self, panel: Panel, windows: PooledWindows) -> FloatArray:
        """Forecast windows of the one-step pipeline.

        Args:
            panel: Whole price histories of the windows; nothing after an as_of is read for it.
            windows: `n` windows.

        Returns:
            `(n, 3, 7)` cumulative log returns, ascending along the last axis. Step 1 is the one-step forecast.
        """
        starts = np.cumsum([0, *(len(history) for history in panel.histories)])
        rows = windows.ends - starts[windows.symbol_index]
        pairs = zip(windows.symbol_index.tolist(), rows.tolist(), strict=True)
        histories = [_tail(panel.histories[index], row + 1, windows.lookback) for index, row in pairs]
        return self._forecast_steps(histories, windows.gather(), self.one_step.quantiles(windows)[:, 0])

    def forecast(self, panel: Panel) -> ForecastBatch:
        """Forecast each symbol from its last session (see `forecaster.Forecaster`)."""
        batch = self.one_step.forecast(panel)
        windows, _ = self.one_step.pipeline.newest(panel)
        newest = [panel.histories[index] for index in windows.symbol_index.tolist()]
        histories = [_tail(history, len(history), windows.lookback) for history in newest]
        quantiles = self._forecast_steps(histories, windows.gather(), batch.quantiles[:, 0])
        return replace(batch, quantiles=quantiles)

    def _forecast_steps(
        self, histories: Sequence[PriceHistory], windows: Float32Array, first: FloatArray
    ) -> FloatArray:
        """Return `(n, 3, 7)` quantiles of all steps.

        Args:
            histories: `n` histories that end at as_of.
            windows: Their windows `(n, lookback, features)`.
            first: `(n, 7)` quantiles of T.
        """
        levels = stratified_levels(self.paths, MULTI_STEP_HORIZON - 1, self.seed)
        quantiles = np.full((len(histories), MULTI_STEP_HORIZON, len(QUANTILES)), np.nan)
        quantiles[:, 0] = first
        for start in range(0, len(histories), _BATCH):
            batch = slice(start, start + _BATCH)
            quantiles[batch, 1:] = self._later_steps(histories[batch], windows[batch], first[batch], levels)
        return quantiles

    def _later_steps(
        self, histories: Sequence[PriceHistory], windows: Float32Array, first: FloatArray, levels: FloatArray
    ) -> FloatArray:
        """Return steps 2 and 3 of a few as_of sessions: `(n, 2, 7)`, NaN if a path has no window."""
        quantiles = np.empty((len(histories), MULTI_STEP_HORIZON - 1, len(QUANTILES)))
        drawn = inverse_cdf(first, levels[0])
        returns = drawn[:, :, None]
        for step in range(MULTI_STEP_HORIZON - 1):
            following = self._next_quantiles(histories, windows, returns)
            total = returns.sum(axis=2)
            quantiles[:, step] = mixture_quantiles(total, following, _SPREAD)
            if step + 1 < len(levels):
                # Each path draws at its own level: path by path, not each path at all levels.
                drawn = np.diagonal(inverse_cdf(following, levels[step + 1]), axis1=1, axis2=2)
                returns = np.concatenate([returns, drawn[:, :, None]], axis=2)
        return quantiles

    def _next_quantiles(
        self, histories: Sequence[PriceHistory], windows: Float32Array, returns: FloatArray
    ) -> FloatArray:
        """Return the `(n, paths, 7)` quantiles after the synthetic sessions, `returns (n, paths, sessions)`."""
        n, paths, sessions = returns.shape
        extended = tuple(
            extend_history(history, path)
            for history, history_paths in zip(histories, returns, strict=True)
            for path in history_paths
        )
        found, _ = self.one_step.pipeline.newest(Panel(extended))
        positions = found.symbol_index
        inputs = found.inputs.reshape(len(positions), found.lookback, -1).copy()
        real = found.lookback - sessions
        if real > 0:
            inputs[:, :real] = windows[positions // paths, sessions:]
        quantiles = np.full((n * paths, len(QUANTILES)), np.nan)
        moved = replace(found, inputs=inputs.reshape(found.inputs.shape))
        quantiles[positions] = self.one_step.quantiles(moved)[:, 0]
        return quantiles.reshape(n, paths, len(QUANTILES))


def _tail(history: PriceHistory, stop: int, lookback: int) -> PriceHistory:
    """Return the rows up to `stop` (exclusive) from which a path starts."""
    return history.slice(max(0, stop - _TAIL - lookback), stop)


def extend_history(history: PriceHistory, returns: FloatArray) -> PriceHistory:
    """Return a history with one synthetic session for each return, oldest first; see the module for its contents."""
    count = len(returns)
    days = np.busday_offset(history.sessions[-1], np.arange(1, count + 1), roll="backward").astype("datetime64[D]")
    instants = history.final_at[-1] + (days - history.sessions[-1]).astype("timedelta64[s]")
    close = history.close[-1] * np.exp(np.cumsum(returns))
    unknown = np.full(count, np.nan)
    return PriceHistory(
        history.symbol,
        history.group,
        history.calendar,
        np.concatenate([history.sessions, days]),
        np.concatenate([history.final_at, instants]),
        np.concatenate([history.open, unknown]),
        np.concatenate([history.high, unknown]),
        np.concatenate([history.low, unknown]),
        np.concatenate([history.close, close]),
        np.concatenate([history.volume, unknown]),
        history.breaks,
    )
