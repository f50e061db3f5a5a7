"""Inputs beyond the core: momentum, shape of returns, weekday, earnings cycle, a volatility index in its own past.

What each earned, and what was tried and left out, stands in docs/forecasting-log.md. Every value is a causal
function of at most `specs.INPUT_MEMORY` sessions, itself included, and knows no scale of price or volume.
"""

import numpy as np
from numpy.typing import NDArray

from models.config import INPUT_MEMORY
from models.preprocessing.features import OWN_FEATURES, SIGMA_FLOOR, moving_mean, positive_log, session_returns
from models.preprocessing.frame import FloatArray, PriceHistory

MOMENTUM_SESSIONS = (5, 21, 63)
"""Sessions, the newest included, of the mean returns."""

LARGEST_SESSIONS = 22
"""Sessions, the newest included, among which the largest absolute return is sought."""

SHAPE_SESSIONS = 66
"""Sessions, the newest included, of the returns whose tails and downside are measured."""

CYCLE_DAYS = (91, 182, 273, 364)
"""Days back to the same weekday 13, 26, 39 and 52 weeks ago: companies report in such a rhythm."""

CYCLE_OFFSETS = (0, 1, 2, 3, 4, 5)
"""Sessions after the newest session at or before such a day; 1, 2, 3 stand for the three steps."""

USUAL_SESSIONS = 40
"""Sessions before a session that tell how large a move and how much volume are usual for it."""

INDEX_SESSIONS = (22, 66)
"""Sessions, the newest included, of the means that a volatility index's log level is compared with."""

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
"""Columns that an extended window holds at each of its sessions: what happened then. The others describe weeks or the
whole market and stand at the newest session alone; at all of them they let a network learn days by heart."""

INDEX_FEATURES: tuple[str, ...] = ("change_1", "change_5", *(f"less_mean_{sessions}" for sessions in INDEX_SESSIONS))
"""Columns of `index_features`, in order."""

_MOVE_BOUNDS = (-1.6, 2.5)
"""Log of a fifth and of twelve times the usual move: beyond them a move says no more."""

_LEAST = SIGMA_FLOOR / 10
"""Least mean move that others are compared with."""

_VOLUME_BOUNDS = (-1.0, 2.0)
_INDEX_SCALES = (10.0, 5.0, 4.0, 3.0)
"""Bring the index's columns to about unit width; fixed, since scaling only ever narrows a column."""


def extended_features(frame: PriceHistory, sigma: FloatArray) -> FloatArray:
    """A symbol's own extended inputs, unscaled.

    Columns: momentum, the mean return over 5, 21 and 63 sessions times the root of their number, in units of sigma;
    the largest absolute return of 22 sessions in units of sigma; over 66 sessions the log ratio of mean absolute to
    root mean square return (the lower, the heavier the tails) and the share of squared returns that were falls, less a
    half; 1 on as_of's weekday, Monday 0 to Friday 4, else 0. Then the earnings cycle: for each offset 0..5 the mean
    `cycle_scores` of the sessions so far after the newest one at or before the day 91, 182, 273 and 364 days
    before as_of. The sessions 1, 2, 3 after it are the same weekdays as T, T+1, T+2, holidays aside, so no future
    calendar is needed.

    Args:
        frame: History of the symbol, oldest first.
        sigma: `(n,)` its volatility (see `features.ewma_sigma`).

    Returns:
        `(n, 23)` in the order of `EXTENDED_FEATURES`, NaN where unknown.
    """
    returns = session_returns(frame.close)
    columns = [moving_mean(returns, sessions) * np.sqrt(sessions) / sigma for sessions in MOMENTUM_SESSIONS]
    columns += [_largest(np.abs(returns), LARGEST_SESSIONS) / sigma, *_shape(returns)]
    # 1970-01-01, day 0, was a Thursday.
    weekday = (frame.sessions.astype(np.int64) + 3) % 7
    columns += [(weekday == day).astype(np.float64) for day in range(5)]
    moves, volumes = cycle_scores(frame)
    days_ago = [frame.sessions - np.timedelta64(days, "D") for days in CYCLE_DAYS]
    bases = np.searchsorted(frame.sessions, np.stack(days_ago), side="right") - 1
    rows = [_rows_after(bases, offset) for offset in CYCLE_OFFSETS]
    for scores in (moves, volumes):
        columns += [_known_mean(_taken(scores, chosen)) for chosen in rows]
    return np.column_stack(columns)


def cycle_scores(frame: PriceHistory) -> tuple[FloatArray, FloatArray]:
    """How unusual each session was for its time: what an earnings report looks like in prices.

    Args:
        frame: History of the symbol.

    Returns:
        `(n,)` log of the larger of absolute return and absolute overnight gap over the mean absolute return of the
        40 sessions before, within -1.6..2.5; `(n,)` log volume less its mean over the 40 sessions before, within
        -1..2; NaN where unknown.
    """
    returns = np.abs(session_returns(frame.close))
    gap = np.full(len(frame), np.nan)
    gap[1:] = np.abs(positive_log(frame.open)[1:] - np.log(frame.close)[:-1])
    # fmax: a session whose open is unknown still has a return.
    move = np.fmax(returns, gap) / np.maximum(_before(moving_mean(returns, USUAL_SESSIONS)), _LEAST)
    log_volume = positive_log(frame.volume)
    volume = log_volume - _before(moving_mean(log_volume, USUAL_SESSIONS))
    low, high = _MOVE_BOUNDS
    moves: FloatArray = np.clip(np.log(np.maximum(move, np.exp(low))), low, high)
    return moves, np.clip(volume, *_VOLUME_BOUNDS)


def index_features(frame: PriceHistory) -> FloatArray:
    """Where a volatility index stands in its own past.

    Args:
        frame: History of the index, every expected session a row.

    Returns:
        `(n, 4)`: change of its log level over 1 and 5 sessions, log level less its mean over 22 and 66 sessions,
        times 10, 5, 4 and 3; NaN where a session it needs has no bar.
    """
    level = np.log(frame.close)
    columns = [level - _before(level, sessions) for sessions in (1, 5)]
    columns += [level - moving_mean(level, sessions) for sessions in INDEX_SESSIONS]
    features: FloatArray = np.column_stack(columns) * np.array(_INDEX_SCALES)
    return features


def _shape(returns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Tails and downside of the newest returns."""
    squares = returns**2
    mean_square = np.maximum(moving_mean(squares, SHAPE_SESSIONS), _LEAST**2)
    size = np.maximum(moving_mean(np.abs(returns), SHAPE_SESSIONS), _LEAST)
    falls = np.where(np.isnan(returns), np.nan, np.where(returns < 0, squares, 0.0))
    return np.log(size) - np.log(mean_square) / 2, moving_mean(falls, SHAPE_SESSIONS) / mean_square - 0.5


def _largest(values: FloatArray, sessions: int) -> FloatArray:
    """Largest known of the newest values, none of them negative; NaN where none is known."""
    padded = np.concatenate((np.full(sessions, -1.0), np.where(np.isnan(values), -1.0, values)))
    largest = np.lib.stride_tricks.sliding_window_view(padded, sessions).max(axis=1)[1:]
    return np.where(largest < 0, np.nan, largest)


def _rows_after(bases: NDArray[np.int64], offset: int) -> NDArray[np.int64]:
    """`(quarters, n)` rows so many sessions after the bases of each of the `n` rows; -1 where there is none.

    Rows after as_of are none, whatever the calendar; nor are rows whose score would reach beyond the memory.
    """
    rows = bases + offset
    back = np.arange(bases.shape[1]) - rows
    known = (bases >= 0) & (back >= 0) & (back <= INPUT_MEMORY - USUAL_SESSIONS - 2)
    return np.where(known, rows, -1)


def _taken(scores: FloatArray, rows: NDArray[np.int64]) -> FloatArray:
    """Scores at rows, NaN where a row is -1."""
    return np.append(scores, np.nan)[rows]


def _known_mean(values: FloatArray) -> FloatArray:
    """Mean over the first axis of the values that are known, NaN where none is."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    mean: FloatArray = np.where(known, values, 0.0).sum(axis=0) / np.where(count > 0, count, np.nan)
    return mean


def _before(values: FloatArray, sessions: int = 1) -> FloatArray:
    """Values so many sessions earlier, NaN where there were none."""
    earlier = np.full(len(values), np.nan)
    earlier[sessions:] = values[:-sessions] if sessions else values
    return earlier
