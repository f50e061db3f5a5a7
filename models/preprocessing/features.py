"""Core inputs that a symbol's own bars give, and those of a reference series on its own grid.

Every value is a causal function of at most `specs.MEMORY` sessions, itself included, and knows no scale
of price or volume: re-basing a history changes nothing. NaN stands for unknown; scaling turns it into 0.
"""

import numpy as np

from models.config import MEMORY, MIN_HISTORY_RANDOM_WALK, ReferenceRole
from models.preprocessing.frame import FloatArray, PriceHistory

SIGMA_DECAY = 0.94
"""Decay per session of the volatility that scales targets (RiskMetrics 1996)."""

SIGMA_FLOOR = 0.003
"""Least daily volatility, log-return units: below it a halted series would give unbounded ratios."""

FAST_DECAY = 0.7
"""Decay per session of the fast volatility."""

SLOW_DECAY = 0.98
"""Decay per session of the slow volatility."""

VOLUME_SESSIONS = 20
"""Sessions, itself included, of the mean that log volume is compared with."""

_RATIO_FLOOR = SIGMA_FLOOR / 10
"""Least fast, slow or range volatility in a log ratio."""

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
    """Exponentially weighted mean over the newest `MEMORY - 1` values, NaN values left out.

    The weights `decay**k` (k = 0 for the newest) are normalised by the weights of the values that are
    there, so early history uses what there is.

    Args:
        values: `(n,)`, oldest first; NaN where unknown.
        decay: Weight ratio of one session to the next newer one, between 0 and 1 (both exclusive).

    Returns:
        `(n,)`; NaN where none of the newest `MEMORY - 1` values is known.
    """
    return _weighted_mean(values, decay ** np.arange(MEMORY - 1, dtype=np.float64))


def moving_mean(values: FloatArray, sessions: int) -> FloatArray:
    """Mean of the known values among the newest `sessions`, the session itself included.

    Args:
        values: `(n,)`, oldest first; NaN where unknown.
        sessions: How many, from 1; early history uses what there is.

    Returns:
        `(n,)`; NaN where none of them is known.
    """
    return _weighted_mean(values, np.ones(sessions))


def session_returns(close: FloatArray) -> FloatArray:
    """One-session log returns of adjusted closes.

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
    """Daily volatility known at each session: EWMA of squared one-session log returns, decay 0.94.

    Args:
        close: `(n,)` adjusted closes on the session grid, NaN at a hole.

    Returns:
        `(n,)` log-return units, at least `SIGMA_FLOOR`. NaN where the session has no bar, where the
        newest `MEMORY` sessions hold fewer than `specs.MIN_HISTORY_RANDOM_WALK` bars (counted in this
        finite memory, so that a cut history answers alike), or where they hold no return.
    """
    return _sigma(close, session_returns(close))


def own_features(frame: PriceHistory) -> tuple[FloatArray, FloatArray]:
    """The own inputs of a symbol, unscaled.

    Columns: `return`, `range` log(high/low) and overnight `gap` log(open / previous close), each in units
    of sigma; log `volume` less its 20-session mean; log ratios of the fast, slow and range volatility
    to sigma; `log_sigma`. Range volatility follows Parkinson 1980: mean of log(high/low)^2 / (4 ln 2).

    Args:
        frame: History of the symbol, oldest first.

    Returns:
        `(n, 8)` in the order of `OWN_FEATURES`, NaN where unknown, and `(n,)` sigma (see `ewma_sigma`).
    """
    returns = session_returns(frame.close)
    sigma = _sigma(frame.close, returns)
    log_sigma = np.log(sigma)
    spread = positive_log(frame.high) - positive_log(frame.low)
    gap = np.full(len(frame), np.nan)
    gap[1:] = positive_log(frame.open)[1:] - np.log(frame.close)[:-1]
    log_volume = positive_log(frame.volume)
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


def reference_features(frame: PriceHistory, role: ReferenceRole) -> FloatArray:
    """What a reference series gives on its own grid, before it is joined to a symbol.

    Args:
        frame: History of the reference series.
        role: `market` gives return / sigma and log sigma; `volatility` gives the log of its level.

    Returns:
        `(n, 2)` for a market, `(n, 1)` for a volatility index; NaN where unknown.
    """
    if role is ReferenceRole.VOLATILITY:
        return np.log(frame.close)[:, None]
    returns = session_returns(frame.close)
    sigma = _sigma(frame.close, returns)
    return np.column_stack((returns / sigma, np.log(sigma)))


def positive_log(values: FloatArray) -> FloatArray:
    """Log of the positive values, NaN elsewhere: a zero volume or a missing high is unknown."""
    logs: FloatArray = np.log(np.where(values > 0, values, np.nan))
    return logs


def _sigma(close: FloatArray, returns: FloatArray) -> FloatArray:
    """`ewma_sigma` where the returns are at hand."""
    present = ~np.isnan(close)
    counted = np.cumsum(present)
    counted[MEMORY:] -= counted[:-MEMORY].copy()
    sigma = np.maximum(np.sqrt(truncated_ewma(returns**2, SIGMA_DECAY)), SIGMA_FLOOR)
    sigma[~present | (counted < MIN_HISTORY_RANDOM_WALK)] = np.nan
    return sigma


def _weighted_mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Moving mean of the known values under weights, the newest first."""
    n = len(values)
    if n == 0:
        return values.copy()
    known = ~np.isnan(values)
    total = np.convolve(np.where(known, values, 0.0), weights[:n])[:n]
    mass = np.convolve(known.astype(np.float64), weights[:n])[:n]
    mean: FloatArray = total / np.where(mass > 0, mass, np.nan)
    return mean


def _log_volatility(squares: FloatArray, decay: float) -> FloatArray:
    """Log of the square root of the EWMA of squares, floored."""
    logs: FloatArray = np.log(np.maximum(np.sqrt(truncated_ewma(squares, decay)), _RATIO_FLOOR))
    return logs
