"""Extended inputs: momentum, shape of returns, weekday, earnings cycle, and a volatility index relative to its past.

docs/forecasting-log.md lists the gain of each, and what was tried and left out. Each value is a causal function of at
most `config.INPUT_MEMORY` sessions, the current one included, and is independent of the scale of price and volume.
"""

import numpy as np
from numpy.typing import NDArray

from models.config import INPUT_MEMORY
from models.preprocessing.features import (
    OWN_FEATURES,
    SIGMA_FLOOR,
    as_columns,
    last_sessions,
    moving_mean,
    overnight_gaps,
    positive_log,
    session_returns,
)
from models.preprocessing.price_history import Bars, DateArray, FloatArray, PriceHistory

CycleScores = tuple[FloatArray, FloatArray]
"""How unusual the move and the volume of each session were, see `cycle_scores`."""

MOMENTUM_SESSIONS = (5, 21, 63)
"""Windows of the mean returns in sessions, the newest included."""

LARGEST_SESSIONS = 22
"""Window of the largest absolute return in sessions, the newest included."""

SHAPE_SESSIONS = 66
"""Window of the tail and downside measures in sessions, the newest included."""

CYCLE_DAYS = (91, 182, 273, 364)
"""Days back to the same weekday 13, 26, 39 and 52 weeks ago: companies report quarterly."""

CYCLE_OFFSETS = (0, 1, 2, 3, 4, 5)
"""Sessions after the newest session at or before such a day; 1, 2, 3 correspond to the three steps."""

USUAL_SESSIONS = 40
"""Window of the usual move and volume of a session, in sessions before it."""

INDEX_SESSIONS = (22, 66)
"""Windows, in sessions with the newest included, of the means that are subtracted from the log level of an index."""

EXTENDED_FEATURES: tuple[str, ...] = (
    *(f"momentum_{sessions}" for sessions in MOMENTUM_SESSIONS),
    f"largest_{LARGEST_SESSIONS}",
    f"tail_{SHAPE_SESSIONS}",
    f"downside_{SHAPE_SESSIONS}",
    *(f"weekday_{day}" for day in range(5)),
    *(f"cycle_move_{offset}" for offset in CYCLE_OFFSETS),
    *(f"cycle_volume_{offset}" for offset in CYCLE_OFFSETS),
)
"""Columns of `extended_features`, in order."""

EVERY_SESSION: tuple[str, ...] = OWN_FEATURES[:4]
"""Columns that an extended window holds at each of its sessions: what happened in that session. The others describe
weeks or the whole market and are held at the newest session only; held at all sessions, they let a network overfit to
single days."""

INDEX_FEATURES: tuple[str, ...] = ("change_1", "change_5", *(f"less_mean_{sessions}" for sessions in INDEX_SESSIONS))
"""Columns of `index_features`, in order."""

_MOVE_BOUNDS = (-1.6, 2.5)
"""Log of a fifth and of twelve times the usual move: moves beyond are clipped, since they add no information."""

_MIN_MOVE = SIGMA_FLOOR / 10
"""Lower bound of the mean move in a ratio."""

_VOLUME_BOUNDS = (-1.0, 2.0)
_INDEX_SCALES = (10.0, 5.0, 4.0, 3.0)
"""Factors that give the index columns about unit deviation; fixed, since `Scaling` only narrows a column."""


def extended_features(
    history: Bars, sigma: FloatArray, newest: int | None = None, scores: CycleScores | None = None
) -> FloatArray:
    """Return the extended inputs of a symbol's own bars, unscaled.

    Columns: momentum, the mean return over 5, 21 and 63 sessions times the root of their number, in units of sigma;
    the largest absolute return of 22 sessions in units of sigma; over 66 sessions the log ratio of mean absolute to
    root mean square return (the lower, the heavier the tails) and the share of negative returns in the sum of squared
    returns, minus a half; 1 on the weekday of as_of, Monday 0 to Friday 4, else 0. Then the earnings cycle: for each
    offset 0..5, the mean `cycle_scores` of the sessions that many sessions after the newest one at or before the day
    91, 182, 273 and 364 days before as_of. The sessions 1, 2, 3 after it have the weekdays of T, T+1, T+2, except for
    holidays, so no future calendar is needed.

    Args:
        history: Price history of the symbol, oldest first; with leading axes if `newest` is given.
        sigma: `(n,)` or `(..., newest)` its volatility (see `features.ewma_sigma`).
        newest: Number of last sessions to return, fewer than `n`; None = all.
        scores: The `cycle_scores` of all `n` sessions if they are known; with `newest` they must be given.

    Returns:
        `(n, 23)` or `(..., newest, 23)` in the order of `EXTENDED_FEATURES`, NaN where unknown.
    """
    # The returns of the longest window, and one close before them.
    needed = None if newest is None else SHAPE_SESSIONS + newest
    returns = session_returns(last_sessions(history.close, needed))
    columns = [moving_mean(returns, sessions, newest) * np.sqrt(sessions) / sigma for sessions in MOMENTUM_SESSIONS]
    columns += [_moving_max(np.abs(returns), LARGEST_SESSIONS, newest) / sigma, *_shape(returns, newest)]
    sessions = history.sessions if newest is None else history.sessions[..., -newest:]
    # 1970-01-01, day 0, was a Thursday.
    weekday = (sessions.astype(np.int64) + 3) % 7
    columns += [(weekday == day).astype(np.float64) for day in range(5)]
    bases = np.stack([_newest_until(history.sessions, sessions - np.timedelta64(days, "D")) for days in CYCLE_DAYS])
    rows = [_rows_after(bases, history.sessions.shape[-1], offset) for offset in CYCLE_OFFSETS]
    for each in cycle_scores(history) if scores is None else scores:
        columns += [_known_mean(_scores_at(each, rows_of_offset)) for rows_of_offset in rows]
    return as_columns(columns)


def cycle_scores(history: Bars, newest: int | None = None) -> CycleScores:
    """Return how unusual each session's move and volume were, which shows earnings reports in prices.

    Args:
        history: Price history of the symbol; with leading axes if `newest` is given.
        newest: Number of last sessions to return, fewer than `n`; None = all.

    Returns:
        `(n,)` or `(..., newest)` log of the larger of absolute return and absolute overnight gap over the mean absolute
        return of the 40 sessions before, within -1.6..2.5; likewise log volume minus its mean over the 40 sessions
        before, within -1..2; NaN where unknown.
    """
    # A return needs one close before it, the usual move one session more.
    needed = None if newest is None else USUAL_SESSIONS + newest + 1
    returns = np.abs(session_returns(last_sessions(history.close, needed)))
    gap = np.abs(overnight_gaps(history, newest))
    # np.fmax ignores NaN: a session whose open is unknown still has a return.
    move = np.fmax(last_sessions(returns, newest), gap) / np.maximum(_mean_before(returns, newest), _MIN_MOVE)
    log_volume = positive_log(history.volume)
    volume = last_sessions(log_volume, newest) - _mean_before(log_volume, newest)
    low, high = _MOVE_BOUNDS
    moves: FloatArray = np.clip(np.log(np.maximum(move, np.exp(low))), low, high)
    return moves, np.clip(volume, *_VOLUME_BOUNDS)


def index_features(history: PriceHistory) -> FloatArray:
    """Return the level of a volatility index relative to its own past.

    Args:
        history: History of the index, with a row for each expected session.

    Returns:
        `(n, 4)`: change of its log level over 1 and 5 sessions, log level minus its mean over 22 and 66 sessions,
        times 10, 5, 4 and 3; NaN where a needed session has no bar.
    """
    level = np.log(history.close)
    columns = [level - _lagged(level, sessions) for sessions in (1, 5)]
    columns += [level - moving_mean(level, sessions) for sessions in INDEX_SESSIONS]
    features: FloatArray = np.column_stack(columns) * np.array(_INDEX_SCALES)
    return features


def _shape(returns: FloatArray, newest: int | None) -> tuple[FloatArray, FloatArray]:
    """Return the tail and downside measures of the newest returns."""
    squares = returns**2
    mean_square = np.maximum(moving_mean(squares, SHAPE_SESSIONS, newest), _MIN_MOVE**2)
    size = np.maximum(moving_mean(np.abs(returns), SHAPE_SESSIONS, newest), _MIN_MOVE)
    falls = np.where(np.isnan(returns), np.nan, np.where(returns < 0, squares, 0.0))
    return np.log(size) - np.log(mean_square) / 2, moving_mean(falls, SHAPE_SESSIONS, newest) / mean_square - 0.5


def _moving_max(values: FloatArray, sessions: int, newest: int | None) -> FloatArray:
    """Return the maximum of the newest known values, which are not negative; NaN where none is known."""
    values = last_sessions(values, None if newest is None else sessions + newest - 1)
    before = np.full((*values.shape[:-1], sessions), -1.0)
    padded = np.concatenate((before, np.where(np.isnan(values), -1.0, values)), axis=-1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, sessions, axis=-1)[..., 1:, :]
    largest = (windows if newest is None else windows[..., -newest:, :]).max(axis=-1)
    return np.where(largest < 0, np.nan, largest)


def _newest_until(sessions: DateArray, days: DateArray) -> NDArray[np.int64]:
    """Return the row of the newest session at or before each day, -1 where there is none."""
    if sessions.ndim == 1:
        return np.searchsorted(sessions, days, side="right").astype(np.int64) - 1
    # A comparison with NaT is false: the rows before the first session of a short history are not counted.
    counted = np.count_nonzero(sessions[..., None, :] <= days[..., None], axis=-1)
    before = np.count_nonzero(np.isnat(sessions), axis=-1)[..., None]
    return np.where(counted > 0, counted + before - 1, -1).astype(np.int64)


def _rows_after(bases: NDArray[np.int64], n: int, offset: int) -> NDArray[np.int64]:
    """Return `(quarters, ..., k)` rows that are `offset` sessions after the bases of the last k of n; -1 where invalid.

    A row after as_of is invalid, whatever the calendar; so is a row whose score would use sessions beyond the memory.
    """
    rows = bases + offset
    back = np.arange(n - bases.shape[-1], n) - rows
    known = (bases >= 0) & (back >= 0) & (back <= INPUT_MEMORY - USUAL_SESSIONS - 2)
    return np.where(known, rows, -1)


def _scores_at(scores: FloatArray, rows: NDArray[np.int64]) -> FloatArray:
    """Return the scores at rows, NaN where a row is -1."""
    if scores.ndim == 1:
        return np.append(scores, np.nan)[rows]
    found = np.take_along_axis(scores[None], np.maximum(rows, 0), axis=-1)
    return np.where(rows < 0, np.nan, found)


def _known_mean(values: FloatArray) -> FloatArray:
    """Return the mean of the known values over the first axis, NaN where none is known."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    mean: FloatArray = np.where(known, values, 0.0).sum(axis=0) / np.where(count > 0, count, np.nan)
    return mean


def _mean_before(values: FloatArray, newest: int | None) -> FloatArray:
    """Return the mean of the `USUAL_SESSIONS` sessions before each session."""
    if newest is None:
        return _lagged(moving_mean(values, USUAL_SESSIONS))
    return moving_mean(values, USUAL_SESSIONS, newest + 1)[..., :-1]


def _lagged(values: FloatArray, sessions: int = 1) -> FloatArray:
    """Return the values of `sessions` sessions earlier, NaN where there are none."""
    earlier = np.full(len(values), np.nan)
    earlier[sessions:] = values[:-sessions] if sessions else values
    return earlier
