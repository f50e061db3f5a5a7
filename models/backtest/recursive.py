"""One step applied recursively: the one-step forecaster asked for T+1 and T+2 along sampled paths.

For each as_of, paths of T are drawn from the forecast of T; each drawn close becomes a synthetic session, the
window moves on by one, and the same forecaster answers for the next session. A synthetic session holds its close
alone. Its open, high, low and volume are unknown (NaN), which scaling turns into the mean of the fit span; reference
series are masked in it, since nobody knows them; its date is the next weekday. So range, gap and volume along a path
are neutral, and only the return, and the volatilities made of returns, move on. The last step of a path is not
drawn: its whole distribution enters the mixture, which lowers the noise of the draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.backtest.path_sampling import inverse_cdf, mixture_quantiles, stratified_levels
from models.config import MEMORY, MULTI_STEP_HORIZON, QUANTILES, ModelConfig
from models.forecaster import ForecastBatch
from models.forecasting.network_forecaster import NetworkForecaster
from models.preprocessing.frame import FloatArray, Panel, PriceHistory
from models.preprocessing.windows import Float32Array, PooledWindows

PATHS = 16
"""Paths drawn for each forecast; each is one window made anew at every further step."""

SEED = 7
"""Seed of the draws, the same for every symbol and session."""

_SPREAD = (np.arange(32) + 0.5) / 32
"""Levels at which the last step of each path is spread out."""

_TAIL = 2 * MEMORY
"""Rows of history that a path carries along: more than features look back on, so that a few holes do no harm."""

_CHUNK = 64
"""As_of sessions followed at once, each along all its paths."""


@dataclass(frozen=True, slots=True)
class RecursiveForecaster:
    """A one-step network that answers for three steps.

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
        """The recipe of the one-step network."""
        return self.one_step.config

    def quantiles(self, panel: Panel, windows: PooledWindows) -> FloatArray:
        """Forecast windows of the one-step pipeline.

        Args:
            panel: Whole frames that the windows were cut of; nothing after an as_of is read for it.
            windows: `n` windows.

        Returns:
            `(n, 3, 7)` cumulative log returns, ascending along the last axis. Step 1 is the one-step forecast.
        """
        starts = np.cumsum([0, *(len(frame) for frame in panel.frames)])
        rows = windows.ends - starts[windows.symbol_index]
        pairs = zip(windows.symbol_index.tolist(), rows.tolist(), strict=True)
        known = [_tail(panel.frames[index], row + 1, windows.lookback) for index, row in pairs]
        return self._follow_all(known, windows.gather(), self.one_step.quantiles(windows)[:, 0])

    def forecast(self, panel: Panel) -> ForecastBatch:
        """Forecast every frame from its last session (see `forecast.Forecaster`)."""
        batch = self.one_step.forecast(panel)
        windows, _ = self.one_step.pipeline.newest(panel)
        frames = [panel.frames[index] for index in windows.symbol_index.tolist()]
        known = [_tail(frame, len(frame), windows.lookback) for frame in frames]
        return replace(batch, quantiles=self._follow_all(known, windows.gather(), batch.quantiles[:, 0]))

    def _follow_all(self, known: Sequence[PriceHistory], windows: Float32Array, first: FloatArray) -> FloatArray:
        """`(n, 3, 7)` from frames that end at as_of, their windows `(n, lookback, features)` and T's quantiles."""
        levels = stratified_levels(self.paths, MULTI_STEP_HORIZON - 1, self.seed)
        answer = np.full((len(known), MULTI_STEP_HORIZON, len(QUANTILES)), np.nan)
        answer[:, 0] = first
        for start in range(0, len(known), _CHUNK):
            cut = slice(start, start + _CHUNK)
            answer[cut, 1:] = self._follow(known[cut], windows[cut], first[cut], levels)
        return answer

    def _follow(
        self, known: Sequence[PriceHistory], windows: Float32Array, first: FloatArray, levels: FloatArray
    ) -> FloatArray:
        """Steps 2 and 3 of a few as_of sessions: `(n, 2, 7)`, NaN where a path has no window."""
        answer = np.empty((len(known), MULTI_STEP_HORIZON - 1, len(QUANTILES)))
        drawn = inverse_cdf(first, levels[0])
        returns = drawn[:, :, None]
        for step in range(MULTI_STEP_HORIZON - 1):
            following = self._ask(known, windows, returns)
            total = returns.sum(axis=2)
            answer[:, step] = mixture_quantiles(total, following, _SPREAD)
            if step + 1 < len(levels):
                # Each path draws at a level of its own: path by path, not every path at every level.
                drawn = np.diagonal(inverse_cdf(following, levels[step + 1]), axis1=1, axis2=2)
                returns = np.concatenate([returns, drawn[:, :, None]], axis=2)
        return answer

    def _ask(self, known: Sequence[PriceHistory], windows: Float32Array, returns: FloatArray) -> FloatArray:
        """`(n, paths, 7)` quantiles of the session after the synthetic ones, `returns (n, paths, sessions)`."""
        n, paths, sessions = returns.shape
        frames = tuple(_extended(frame, path) for frame, each in zip(known, returns, strict=True) for path in each)
        found, _ = self.one_step.pipeline.newest(Panel(frames))
        kept = found.symbol_index
        inputs = found.inputs.reshape(len(kept), found.lookback, -1).copy()
        real = found.lookback - sessions
        if real > 0:
            inputs[:, :real] = windows[kept // paths, sessions:]
        answer = np.full((n * paths, len(QUANTILES)), np.nan)
        moved = replace(found, inputs=inputs.reshape(found.inputs.shape))
        answer[kept] = self.one_step.quantiles(moved)[:, 0]
        return answer.reshape(n, paths, len(QUANTILES))


def _tail(frame: PriceHistory, stop: int, lookback: int) -> PriceHistory:
    """The rows up to `stop` (exclusive) that a path starts from."""
    return frame.slice(max(0, stop - _TAIL - lookback), stop)


def _extended(frame: PriceHistory, returns: FloatArray) -> PriceHistory:
    """A frame with one synthetic session for each return, oldest first; see the module for what it holds."""
    count = len(returns)
    days = np.busday_offset(frame.sessions[-1], np.arange(1, count + 1), roll="backward").astype("datetime64[D]")
    instants = frame.final_at[-1] + (days - frame.sessions[-1]).astype("timedelta64[s]")
    close = frame.close[-1] * np.exp(np.cumsum(returns))
    unknown = np.full(count, np.nan)
    return PriceHistory(
        frame.symbol,
        frame.group,
        frame.calendar,
        np.concatenate([frame.sessions, days]),
        np.concatenate([frame.final_at, instants]),
        np.concatenate([frame.open, unknown]),
        np.concatenate([frame.high, unknown]),
        np.concatenate([frame.low, unknown]),
        np.concatenate([frame.close, close]),
        np.concatenate([frame.volume, unknown]),
    )
