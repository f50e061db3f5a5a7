"""Core inputs from a symbol's own bars, and those of a reference series on its own grid.

Each value is a causal function of at most `config.MEMORY` sessions, the current one included, and is independent of
the scale of price and volume: re-basing a history changes nothing. NaN means unknown; scaling turns it into 0.
"""

import numpy as np

from models.config import MEMORY, MIN_HISTORY_RANDOM_WALK, ReferenceRole
from models.preprocessing.price_history import FloatArray, PriceHistory

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


def truncated_ewma(values: FloatArray, decay: float) -> FloatArray:
    """Return the exponentially weighted mean over the newest `MEMORY - 1` values; NaN values are left out.

    The weights `decay**k` (k = 0 for the newest) are divided by the sum over the known values, so early history uses
    the values that exist.

    Args:
        values: `(n,)`, oldest first; NaN where unknown.
        decay: Weight ratio of one session to the next newer one, between 0 and 1 (both exclusive).

    Returns:
        `(n,)`; NaN where none of the newest `MEMORY - 1` values is known.
    """
    return _weighted_mean(values, decay ** np.arange(MEMORY - 1, dtype=np.float64))


def moving_mean(values: FloatArray, sessions: int) -> FloatArray:
    """Return the mean of the known values among the newest `sessions`, the current one included.

    Args:
        values: `(n,)`, oldest first; NaN where unknown.
        sessions: Length of the window, from 1; early history uses the values that exist.

    Returns:
        `(n,)`; NaN where none of them is known.
    """
    return _weighted_mean(values, np.ones(sessions))


def session_returns(close: FloatArray) -> FloatArray:
    """Return the one-session log returns of adjusted closes.

    Args:
        close: `(n,)` on the session grid, NaN at a hole.

    Returns:
        `(n,)`; NaN at the first session and where either of the two bars is missing: a return across a
        hole is not a one-session return.
    """
    returns = np.full(len(close), np.nan)
    returns[1:] = np.diff(np.log(close))
    return returns


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


def own_features(history: PriceHistory) -> tuple[FloatArray, FloatArray]:
    """Return the core inputs of a symbol's own bars, unscaled.

    Columns: `return`, `range` log(high/low) and overnight `gap` log(open / previous close), each in units
    of sigma; log `volume` minus its 20-session mean; log ratios of the fast, slow and range volatility
    to sigma; `log_sigma`. Range volatility follows Parkinson 1980: mean of log(high/low)^2 / (4 ln 2).

    Args:
        history: Price history of the symbol, oldest first.

    Returns:
        `(n, 8)` in the order of `OWN_FEATURES`, NaN where unknown, and `(n,)` sigma (see `ewma_sigma`).
    """
    returns = session_returns(history.close)
    sigma = _sigma(history.close, returns)
    log_sigma = np.log(sigma)
    spread = positive_log(history.high) - positive_log(history.low)
    gap = np.full(len(history), np.nan)
    gap[1:] = positive_log(history.open)[1:] - np.log(history.close)[:-1]
    log_volume = positive_log(history.volume)
    squares = returns**2
    columns = (
        returns / sigma,
        spread / sigma,
        gap / sigma,
        log_volume - moving_mean(log_volume, VOLUME_SESSIONS),
        _log_volatility(squares, FAST_DECAY) - log_sigma,
        _log_volatility(squares, SLOW_DECAY) - log_sigma,
        log_sigma,
        _log_volatility(spread**2 / (4 * np.log(2)), SIGMA_DECAY) - log_sigma,
    )
    return np.column_stack(columns), sigma


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


def _sigma(close: FloatArray, returns: FloatArray) -> FloatArray:
    """Return `ewma_sigma` from closes and the returns already computed from them."""
    present = ~np.isnan(close)
    counted = np.cumsum(present)
    counted[MEMORY:] -= counted[:-MEMORY].copy()
    sigma = np.maximum(np.sqrt(truncated_ewma(returns**2, SIGMA_DECAY)), SIGMA_FLOOR)
    sigma[~present | (counted < MIN_HISTORY_RANDOM_WALK)] = np.nan
    return sigma


def _weighted_mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the moving weighted mean of the known values; weights are newest first."""
    n = len(values)
    if n == 0:
        return values.copy()
    known = ~np.isnan(values)
    total = np.convolve(np.where(known, values, 0.0), weights[:n])[:n]
    mass = np.convolve(known.astype(np.float64), weights[:n])[:n]
    mean: FloatArray = total / np.where(mass > 0, mass, np.nan)
    return mean


def _log_volatility(squares: FloatArray, decay: float) -> FloatArray:
    """Return the log of the square root of the EWMA of squares, with a lower bound."""
    logs: FloatArray = np.log(np.maximum(np.sqrt(truncated_ewma(squares, decay)), _RATIO_FLOOR))
    return logs
