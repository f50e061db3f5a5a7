"""What the baselines share: forecasts of many rows at once, and of the newest row of each frame.

A baseline answers for rows of a panel's grid; serving is the case of one row a frame, so that what is served
and what is backtested cannot differ.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from models.config import MEMORY, MIN_HISTORY_RANDOM_WALK, ModelConfig, Strategy
from models.forecaster import ForecastBatch, Refusal
from models.preprocessing.features import ewma_sigma
from models.preprocessing.frame import FloatArray, Panel, PriceHistory
from models.preprocessing.windows import IntArray, PooledWindows, WindowRule, pool_windows


class RowForecaster(Protocol):
    """A baseline that answers for rows."""

    @property
    def config(self) -> ModelConfig:
        """Its strategy gives the horizon."""
        ...

    def over(self, panel: Panel, rows: PooledWindows) -> FloatArray:
        """Forecast rows of a panel.

        Args:
            panel: Whole frames; nothing after a row is read for that row.
            rows: What `sigma_rows` cuts of this panel, or some of them.

        Returns:
            `(n, horizon, 7)` cumulative log returns, ascending along the last axis; NaN where the baseline has
            no forecast for a row.
        """
        ...

    def forecast(self, panel: Panel) -> ForecastBatch:
        """See `forecast.Forecaster`."""
        ...

    def reason_against(self, frame: PriceHistory) -> str:
        """Why the last session of a frame with a known sigma gets no forecast, one sentence."""
        ...


@dataclass(frozen=True, slots=True)
class ImageRows:
    """The rows of one frame among pooled rows.

    Attributes:
        frame: The symbol.
        places: `(k,)` positions among the pooled rows.
        rows: `(k,)` rows of the frame, each an as_of.
    """

    frame: PriceHistory
    places: IntArray
    rows: IntArray


def baseline_config(name: str, strategy: Strategy) -> ModelConfig:
    """The recipe of a baseline: a name and a strategy, no references, no network."""
    return ModelConfig(forecaster=name, strategy=strategy, lookback=1, seeds=(0,))


def sigma_rows(panel: Panel, horizon: int, min_bars: int = 1) -> PooledWindows:
    """Every row of a panel with a bar and a known sigma, targets NaN where unknown.

    Args:
        panel: Whole frames; references are not read.
        horizon: Steps of the targets.
        min_bars: Bars the symbol must have so far, the row's included.

    Returns:
        Windows of one session, ordered by symbol, then by as_of; `inputs` has no columns.
    """
    sigmas = [ewma_sigma(frame.close) for frame in panel.frames]
    blank = np.empty((sum(len(frame) for frame in panel.frames), 0), dtype=np.float32)
    return pool_windows(panel.frames, sigmas, blank, WindowRule(1, horizon, require_targets=False, min_bars=min_bars))


def rows_by_image(panel: Panel, rows: PooledWindows) -> Iterator[ImageRows]:
    """The pooled rows of each frame that has any."""
    offset = 0
    for index, frame in enumerate(panel.frames):
        places = np.flatnonzero(rows.symbol_index == index)
        if len(places):
            yield ImageRows(frame, places, rows.ends[places] - offset)
        offset += len(frame)


def serve(baseline: RowForecaster, panel: Panel) -> ForecastBatch:
    """Forecast every frame of a panel from its last session (see `forecast.Forecaster`).

    Args:
        baseline: Who answers.
        panel: Frames that end at as_of, with the history the baseline needs.
    """
    rows = sigma_rows(panel, baseline.config.horizon)
    last = np.cumsum([len(frame) for frame in panel.frames], dtype=np.int64) - 1
    newest = rows.select(np.flatnonzero(rows.ends == last[rows.symbol_index]))
    quantiles = baseline.over(panel, newest)
    known = ~np.isnan(quantiles).any(axis=(1, 2))
    chosen = [int(index) for index in newest.symbol_index[known]]
    seen = set(newest.symbol_index.tolist())
    refusals = [
        Refusal(frame.symbol, baseline.reason_against(frame) if index in seen else no_sigma(frame))
        for index, frame in enumerate(panel.frames)
        if index not in chosen
    ]
    return ForecastBatch(
        symbols=tuple(panel.frames[index].symbol for index in chosen),
        quantiles=quantiles[known],
        sigma=newest.sigma[known],
        last_close=np.array([panel.frames[index].close[-1] for index in chosen], dtype=np.float64),
        degraded=((),) * len(chosen),
        refusals=tuple(refusals),
    )


def no_sigma(frame: PriceHistory) -> str:
    """Why a frame has no volatility at its last session, one sentence."""
    if not len(frame):
        return "it has no sessions yet"
    as_of = frame.sessions[-1]
    if np.isnan(frame.close[-1]):
        return f"the bar of {as_of} is missing, and without it there is no forecast"
    bars = int((~np.isnan(frame.close[-MEMORY:])).sum())
    return (
        f"it has {bars} bars in the {MEMORY} sessions up to {as_of}; {MIN_HISTORY_RANDOM_WALK} are needed, "
        "some of them on neighbouring sessions"
    )


def log_returns(close: FloatArray, step: int) -> FloatArray:
    """`(n,)` log return over `step` sessions that ends at each row; NaN where either bar is missing."""
    logs = np.log(close)
    returns = np.full(len(close), np.nan)
    returns[step:] = logs[step:] - logs[:-step]
    return returns
