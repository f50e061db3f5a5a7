"""The bars of sampled paths: real sessions up to an as_of, which its paths share, then synthetic ones of each path.

A synthetic session holds only its close. Its open, high, low and volume are unknown (NaN); its date is the next
weekday.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.config import INPUT_MEMORY
from models.preprocessing.extended_features import CycleScores, cycle_scores
from models.preprocessing.price_history import DateArray, FloatArray, PriceHistory
from models.preprocessing.staleness import STALE_SESSIONS, is_mostly_stale, repeats, stale_bars

_CLOSE, _MOVES, _VOLUMES, _STALE = 3, 5, 6, 7
"""Rows of `KnownHistory.columns`."""


@dataclass(frozen=True, slots=True)
class PathBars:
    """Bars of paths (see `price_history.Bars`): each array is `(n, 1, rows)` or `(n, paths, rows)`."""

    sessions: DateArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray


@dataclass(frozen=True, slots=True)
class KnownHistory:
    """What paths read of a price history, computed once for all its as_of sessions.

    Attributes:
        sessions: `(rows,)` its sessions; they may reach beyond an as_of.
        columns: `(8, rows)` open, high, low, close, volume, both `cycle_scores`, and 1 for each stale bar.
    """

    sessions: DateArray
    columns: FloatArray

    @staticmethod
    def of(history: PriceHistory) -> "KnownHistory":
        """Compute what paths read of a history."""
        bars = (history.open, history.high, history.low, history.close, history.volume)
        return KnownHistory(history.sessions, np.stack([*bars, *cycle_scores(history), stale_bars(history)]))

    def bars_among(self, stop: int, sessions: int) -> int:
        """Return the number of bars among the newest sessions before the row `stop`."""
        return int(np.count_nonzero(~np.isnan(self.columns[_CLOSE, max(0, stop - sessions) : stop])))


@dataclass(frozen=True, slots=True)
class PathStarts:
    """The newest real sessions of `n` as_of sessions, from which paths start.

    Attributes:
        sessions: `(n, 1, INPUT_MEMORY)`, the last one is as_of; NaT before the first session of a history.
        columns: `(8, n, 1, INPUT_MEMORY)` as in `KnownHistory`; NaN before the first session of a history.
    """

    sessions: DateArray
    columns: FloatArray

    @staticmethod
    def at(histories: Sequence[KnownHistory], stops: Sequence[int]) -> "PathStarts":
        """Return the starts of paths; nothing after an as_of is read.

        Args:
            histories: `n` histories.
            stops: Row after the as_of of each.
        """
        sessions = np.full((len(stops), 1, INPUT_MEMORY), np.datetime64("NaT"), "datetime64[D]")
        columns = np.full((8, len(stops), 1, INPUT_MEMORY), np.nan)
        for position, (history, stop) in enumerate(zip(histories, stops, strict=True)):
            rows = slice(max(0, stop - INPUT_MEMORY), stop)
            sessions[position, 0, rows.start - stop :] = history.sessions[rows]
            columns[:, position, 0, rows.start - stop :] = history.columns[:, rows]
        return PathStarts(sessions, columns)

    def extend(self, returns: FloatArray) -> PathBars:
        """Return the bars with a synthetic session for each return of each path, `(n, paths, k)`, oldest first."""
        as_of = self.sessions[..., -1:]
        days = np.busday_offset(as_of, np.arange(1, returns.shape[-1] + 1), roll="backward").astype("datetime64[D]")
        opens, high, low, close, volume = self.columns[:_MOVES]
        new = close[..., -1:] * np.exp(np.cumsum(returns, axis=-1))
        unknown = np.full(days.shape, np.nan)
        opens, high, low, volume = (np.concatenate([column, unknown], axis=-1) for column in (opens, high, low, volume))
        return PathBars(np.concatenate([self.sessions, days], axis=-1), opens, high, low, _appended(close, new), volume)

    def scores(self, bars: PathBars, newest: int) -> CycleScores:
        """Return the `cycle_scores` of extended bars; only those of the `newest` sessions are computed."""
        moves, volumes = cycle_scores(bars, newest)
        return _appended(self.columns[_MOVES], moves), _appended(self.columns[_VOLUMES], volumes)

    def is_stale(self, bars: PathBars, newest: int) -> NDArray[np.bool_]:
        """Return `(n, paths)` whether each path ends at a stale session, see `staleness.is_stale`."""
        close = bars.close[..., -STALE_SESSIONS:]
        # No volume is known in a synthetic session: it is stale if its close repeats.
        new = repeats(bars.close[..., -newest:], bars.close[..., -newest - 1 : -1])
        stale = _appended(self.columns[_STALE, ..., newest - STALE_SESSIONS :], new.astype(np.float64))
        return is_mostly_stale(np.count_nonzero(stale > 0, axis=-1), np.count_nonzero(~np.isnan(close), axis=-1))


def _appended(shared: FloatArray, new: FloatArray) -> FloatArray:
    """Return the values of the real sessions, followed by those of each path's synthetic ones."""
    return np.concatenate([np.broadcast_to(shared, (*new.shape[:-1], shared.shape[-1])), new], axis=-1)
