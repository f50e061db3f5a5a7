"""Core inputs from a symbol's own bars, and those of a reference series on its own grid.

Each value is a causal function of at most `config.MEMORY` sessions, the current one included, and is independent of
the scale of price and volume: re-basing a history changes nothing. NaN means unknown; scaling turns it into 0.

The functions with `newest` compute all sessions of one history, or only the `newest` last ones of many histories at
once. The formulas are the same; only moving sums are computed in another way, which agrees to rounding.
"""

from collections.abc import Sequence

import numpy as np

from models.config import MEMORY, MIN_HISTORY_RANDOM_WALK, ReferenceRole
from models.preprocessing.price_history import Bars, FloatArray, PriceHistory

SIGMA_DECAY = 0.94
"""Decay per session of the volatility that scales targets (RiskMetrics 1996)."""

SIGMA_FLOOR = 0.003
"""Lower bound of the daily volatility, log-return units: without it a halted series would give unbounded ratios."""

FAST_DECAY = 0.7
"""Decay per session of the fast volatility."""

SLOW_DECAY = 0.98
"""Decay per session of the slow volatility."""

VOLUME_SESSIONS = 20
"""Sessions, the current one included, of the mean that is subtracted from log volume."""

_RATIO_FLOOR = SIGMA_FLOOR / 10
"""Lower bound of the fast, slow and range volatility in a log ratio."""

OWN_FEATURES: tuple[str, ...] = (
    "return",
    "range",
    "gap",
    "volume",
    "fast_volatility",
    "slow_volatility",
    "log_sigma",
    "range_volatility",
)
"""Columns of `own_features`, in order."""

REFERENCE_FEATURES: dict[ReferenceRole, tuple[str, ...]] = {
    ReferenceRole.MARKET: ("return", "log_sigma"),
    ReferenceRole.VOLATILITY: ("log_level",),
}
"""Columns of `reference_features` by role, in order."""


def truncated_ewma(values: FloatArray, decay: float, newest: int | None = None) -> FloatArray:
    """Return the exponentially weighted mean over the newest `MEMORY - 1` values; NaN values are left out.

    The weights `decay**k` (k = 0 for the newest) are divided by the sum over the known values, so early history uses
    the values that exist.

    Args:
        values: `(n,)`, oldest first, or `(..., n)` if `newest` is given; NaN where unknown.
        decay: Weight ratio of one session to the next newer one, between 0 and 1 (both exclusive).
        newest: Number of last sessions to return; None = all.

    Returns:
        `(n,)` or `(..., newest)`; NaN where none of the newest `MEMORY - 1` values is known.
    """
    return _weighted_mean(values, decay ** np.arange(MEMORY - 1, dtype=np.float64), newest)


def moving_mean(values: FloatArray, sessions: int, newest: int | None = None) -> FloatArray:
    """Return the mean of the known values among the newest `sessions`, the current one included.

    Args:
        values: As in `truncated_ewma`.
        sessions: Length of the window, from 1; early history uses the values that exist.
        newest: As in `truncated_ewma`.

    Returns:
        `(n,)` or `(..., newest)`; NaN where none of them is known.
    """
    return _weighted_mean(values, np.ones(sessions), newest)


def last_sessions(values: FloatArray, count: int | None) -> FloatArray:
    """Return the last `count` sessions of `(..., n)` values; None = all."""
    return values if count is None else values[..., -count:]


def session_returns(close: FloatArray) -> FloatArray:
    """Return the one-session log returns of adjusted closes.

    Args:
        close: `(..., n)` on the session grid, NaN at a hole.

    Returns:
        `(..., n)`; NaN at the first session and where either of the two bars is missing: a return across a
        hole is not a one-session return.
    """
    returns = np.full(close.shape, np.nan)
    returns[..., 1:] = np.diff(np.log(close))
    return returns


def overnight_gaps(bars: Bars, newest: int | None = None) -> FloatArray:
    """Return the `(..., n)` or `(..., newest)` log of each open over the close before, NaN where either is unknown."""
    opens, close = (last_sessions(each, None if newest is None else newest + 1) for each in (bars.open, bars.close))
    gaps = np.full(np.broadcast_shapes(opens.shape, close.shape), np.nan)
    gaps[..., 1:] = positive_log(opens)[..., 1:] - np.log(close)[..., :-1]
    return last_sessions(gaps, newest)


def ewma_sigma(close: FloatArray) -> FloatArray:
    """Return the daily volatility known at each session: EWMA of squared log returns, decay 0.94.

    Args:
        close: `(n,)` adjusted closes on the session grid, NaN at a hole.

    Returns:
        `(n,)` log-return units, at least `SIGMA_FLOOR`. NaN where the session has no bar, where the
        newest `MEMORY` sessions hold fewer than `config.MIN_HISTORY_RANDOM_WALK` bars (counted in this
        finite memory, so that a truncated history gives the same result), or where they hold no return.
    """
    return _sigma(close, session_returns(close))


def own_features(history: Bars, newest: int | None = None) -> tuple[FloatArray, FloatArray]:
    """Return the core inputs of a symbol's own bars, unscaled.

    Columns: `return`, `range` log(high/low) and overnight `gap` log(open / previous close), each in units
    of sigma; log `volume` minus its 20-session mean; log ratios of the fast, slow and range volatility
    to sigma; `log_sigma`. Range volatility follows Parkinson 1980: mean of log(high/low)^2 / (4 ln 2).

    Args:
        history: Price history of the symbol, oldest first; with leading axes if `newest` is given.
        newest: Number of last sessions to return, fewer than `n`; None = all.

    Returns:
        `(n, 8)` or `(..., newest, 8)` in the order of `OWN_FEATURES`, NaN where unknown, and the sigma of these
        sessions (see `ewma_sigma`).
    """
    returns = session_returns(history.close)
    sigma = _sigma(history.close, returns, newest)
    log_sigma = np.log(sigma)
    spread = positive_log(history.high) - positive_log(history.low)
    log_volume = positive_log(history.volume)
    squares = returns**2
    columns = (
        last_sessions(returns, newest) / sigma,
        last_sessions(spread, newest) / sigma,
        overnight_gaps(history, newest) / sigma,
        last_sessions(log_volume, newest) - moving_mean(log_volume, VOLUME_SESSIONS, newest),
        _log_volatility(squares, FAST_DECAY, newest) - log_sigma,
        _log_volatility(squares, SLOW_DECAY, newest) - log_sigma,
        log_sigma,
        _log_volatility(spread**2 / (4 * np.log(2)), SIGMA_DECAY, newest) - log_sigma,
    )
    return as_columns(columns), sigma


def as_columns(columns: Sequence[FloatArray]) -> FloatArray:
    """Return arrays of one length, whose leading axes broadcast, as the columns of one array `(..., n, k)`."""
    stacked: FloatArray = np.stack(np.broadcast_arrays(*columns), axis=-1)
    return stacked


def reference_features(history: PriceHistory, role: ReferenceRole) -> FloatArray:
    """Return the inputs of a reference series on its own grid, before it is joined to a symbol.

    Args:
        history: History of the reference series.
        role: `market` gives return / sigma and log sigma; `volatility` gives the log of the level.

    Returns:
        `(n, 2)` for a market, `(n, 1)` for a volatility index; NaN where unknown.
    """
    if role is ReferenceRole.VOLATILITY:
        return np.log(history.close)[:, None]
    returns = session_returns(history.close)
    sigma = _sigma(history.close, returns)
    return np.column_stack((returns / sigma, np.log(sigma)))


def positive_log(values: FloatArray) -> FloatArray:
    """Return the log of the positive values, NaN elsewhere: a zero volume or a missing high is unknown."""
    logs: FloatArray = np.log(np.where(values > 0, values, np.nan))
    return logs


def _sigma(close: FloatArray, returns: FloatArray, newest: int | None = None) -> FloatArray:
    """Return `ewma_sigma` from closes and the returns already computed from them."""
    present = ~np.isnan(close)
    if newest is None:
        counted = np.cumsum(present)
        counted[MEMORY:] -= counted[:-MEMORY].copy()
    else:
        counted = _newest_sums(present.astype(np.float64), np.ones(MEMORY), newest)
        present = present[..., -newest:]
    sigma = np.maximum(np.sqrt(truncated_ewma(returns**2, SIGMA_DECAY, newest)), SIGMA_FLOOR)
    sigma[~present | (counted < MIN_HISTORY_RANDOM_WALK)] = np.nan
    return sigma


def _weighted_mean(values: FloatArray, weights: FloatArray, newest: int | None) -> FloatArray:
    """Return the moving weighted mean of the known values; weights are newest first."""
    n = values.shape[-1]
    if n == 0:
        return values.copy()
    if newest is not None:
        values = values[..., -(len(weights) + newest - 1) :]
    known = ~np.isnan(values)
    filled, present = np.where(known, values, 0.0), known.astype(np.float64)
    if newest is None:
        total, mass = (np.convolve(each, weights[:n])[:n] for each in (filled, present))
    else:
        total, mass = (_newest_sums(each, weights, newest) for each in (filled, present))
    mean: FloatArray = total / np.where(mass > 0, mass, np.nan)
    return mean


def _newest_sums(values: FloatArray, weights: FloatArray, newest: int) -> FloatArray:
    """Return the moving weighted sums `(..., newest)` at the last sessions; weights are newest first.

    Each row is a separate product, so that its bits do not depend on the other rows.
    """
    values = np.ascontiguousarray(values[..., -(len(weights) + newest - 1) :])
    n = values.shape[-1]
    age = np.arange(n - newest, n) - np.arange(n)[:, None]
    used = (age >= 0) & (age < len(weights))
    table = np.where(used, weights[np.where(used, age, 0)], 0.0)
    sums: FloatArray = np.matmul(values[..., None, :], table)[..., 0, :]
    return sums


def _log_volatility(squares: FloatArray, decay: float, newest: int | None) -> FloatArray:
    """Return the log of the square root of the EWMA of squares, with a lower bound."""
    logs: FloatArray = np.log(np.maximum(np.sqrt(truncated_ewma(squares, decay, newest)), _RATIO_FLOOR))
    return logs
