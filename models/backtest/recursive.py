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
from models.config import MEMORY, MIN_HISTORY_NETWORK, MULTI_STEP_HORIZON, QUANTILES, Inputs, ModelConfig
from models.forecaster import ForecastBatch
from models.forecasting.network_forecaster import NetworkForecaster
from models.preprocessing.path_bars import KnownHistory, PathStarts
from models.preprocessing.price_history import FloatArray, Panel
from models.preprocessing.windows import Float32Array, IntArray, PooledWindows

PATHS = 16
"""Paths drawn for each forecast; each path is one new window for each further step."""

SEED = 7
"""Seed of the draws, the same for all symbols and sessions."""

_SPREAD = (np.arange(32) + 0.5) / 32
"""Levels at which the distribution of the last step of each path is evaluated."""

_TAIL = 2 * MEMORY
"""Newest sessions before a window in which bars are counted too: more than features read, so a few holes do no harm."""

_BATCH = 32
"""As_of sessions per batch, each with all its paths."""


@dataclass(frozen=True, slots=True)
class _Start:
    """From where the paths of `n` as_of sessions start.

    Attributes:
        bars: Their newest real sessions.
        windows: `(n, lookback, features)` windows that end at as_of.
        visibility: See `PooledWindows.visibility`.
        counted: `(n,)` bars that count towards those that a network needs.
    """

    bars: PathStarts
    windows: Float32Array
    visibility: Float32Array
    counted: IntArray


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
        stops = windows.ends - starts[windows.symbol_index] + 1
        return self._forecast_steps(panel, windows, stops, self.one_step.quantiles(windows)[:, 0])

    def forecast(self, panel: Panel) -> ForecastBatch:
        """Forecast each symbol from its last session (see `forecaster.Forecaster`)."""
        batch = self.one_step.forecast(panel)
        windows, _ = self.one_step.pipeline.newest(panel)
        stops = np.array([len(history) for history in panel.histories], np.int64)[windows.symbol_index]
        return replace(batch, quantiles=self._forecast_steps(panel, windows, stops, batch.quantiles[:, 0]))

    def _forecast_steps(self, panel: Panel, windows: PooledWindows, stops: IntArray, first: FloatArray) -> FloatArray:
        """Return `(n, 3, 7)` quantiles of all steps.

        Args:
            panel: Price histories of the windows.
            windows: `n` windows.
            stops: `(n,)` row after as_of in the history of each.
            first: `(n, 7)` quantiles of T.
        """
        levels = stratified_levels(self.paths, MULTI_STEP_HORIZON - 1, self.seed)
        quantiles = np.full((len(windows), MULTI_STEP_HORIZON, len(QUANTILES)), np.nan)
        quantiles[:, 0] = first
        known = {index: KnownHistory.of(panel.histories[index]) for index in set(windows.symbol_index.tolist())}
        for start in range(0, len(windows), _BATCH):
            batch = slice(start, start + _BATCH)
            histories = [known[index] for index in windows.symbol_index[batch].tolist()]
            begin = _start(histories, stops[batch].tolist(), windows.select(np.arange(len(windows))[batch]))
            quantiles[batch, 1:] = self._later_steps(begin, first[batch], levels)
        return quantiles

    def _later_steps(self, begin: _Start, first: FloatArray, levels: FloatArray) -> FloatArray:
        """Return steps 2 and 3 of a few as_of sessions: `(n, 2, 7)`, NaN if a path has no window."""
        quantiles = np.empty((len(first), MULTI_STEP_HORIZON - 1, len(QUANTILES)))
        drawn = inverse_cdf(first, levels[0])
        returns = drawn[:, :, None]
        for step in range(MULTI_STEP_HORIZON - 1):
            following = self._next_quantiles(begin, returns)
            total = returns.sum(axis=2)
            quantiles[:, step] = mixture_quantiles(total, following, _SPREAD)
            if step + 1 < len(levels):
                # Each path draws at its own level: path by path, not each path at all levels.
                drawn = np.diagonal(inverse_cdf(following, levels[step + 1]), axis1=1, axis2=2)
                returns = np.concatenate([returns, drawn[:, :, None]], axis=2)
        return quantiles

    def _next_quantiles(self, begin: _Start, returns: FloatArray) -> FloatArray:
        """Return the `(n, paths, 7)` quantiles after the synthetic sessions, `returns (n, paths, sessions)`."""
        n, paths, sessions = returns.shape
        lookback = self.config.lookback
        bars = begin.bars.extend(returns)
        scores = None if self.config.inputs is Inputs.CORE else begin.bars.scores(bars, sessions)
        inputs, sigma = self.one_step.pipeline.newest_inputs(bars, sessions, scores)
        found = np.isfinite(bars.close[..., -sessions:]).all(axis=2) & ~np.isnan(sigma[..., -lookback:]).any(axis=2)
        found &= begin.counted[:, None] + sessions >= MIN_HISTORY_NETWORK
        found &= ~begin.bars.is_stale(bars, sessions)
        shared = begin.windows[:, None, sessions:]
        real = np.broadcast_to(shared, (n, paths, *shared.shape[2:]))
        moved = np.concatenate([real, inputs], axis=2)[:, :, -lookback:] * begin.visibility
        quantiles = np.full((n, paths, len(QUANTILES)), np.nan)
        quantiles[found] = self.one_step.gathered_quantiles(moved[found], sigma[..., -1][found])[:, 0]
        return quantiles


def _start(histories: Sequence[KnownHistory], stops: Sequence[int], windows: PooledWindows) -> _Start:
    """Return from where the paths of windows start; `stops` are the rows after their as_of sessions."""
    tail = _TAIL + windows.lookback
    counted = [history.bars_among(stop, tail) for history, stop in zip(histories, stops, strict=True)]
    return _Start(PathStarts.at(histories, stops), windows.gather(), windows.visibility(), np.array(counted))
