"""Generated forecasts and outcomes for tests of calibration."""

import numpy as np

from models.calibration import CalibrationRows

RAW = np.array([-0.04, -0.025, -0.01, 0.0, 0.01, 0.025, 0.04])
"""Quantiles of one step at a daily volatility of 2 %."""


def make_rows(days: int, symbols: int, horizon: int, seed: int) -> CalibrationRows:
    """Return normal random walks of differing volatility, with quantiles that are somewhat too narrow.

    A forecast's own bar is final at 22:00 of its day; the outcome of step h h days later. The last days' outcomes
    are unknown.
    """
    random = np.random.default_rng(seed)
    sigma = np.exp(random.normal(np.log(0.02), 0.4, (days, symbols)))
    returns = random.normal(0, 1, (days + horizon, symbols))
    day = np.arange(days).repeat(symbols)
    as_of = np.full(len(day), np.datetime64("2015-01-01", "D")) + day.astype("timedelta64[D]")
    final_at = as_of.astype("datetime64[s]") + np.timedelta64(22, "h")
    steps = np.arange(1, horizon + 1)
    paths = np.stack([returns[1 + start : 1 + start + horizon].cumsum(axis=0).T for start in range(days)])
    actual = (paths * sigma[..., None]).reshape(-1, horizon)
    scale = (sigma.reshape(-1)[:, None] * np.sqrt(steps))[..., None]
    ahead = day[:, None] + steps
    actual[ahead > days] = np.nan
    target_final_at = final_at[:, None] + steps.astype("timedelta64[D]")
    return CalibrationRows(as_of, final_at, target_final_at, sigma.reshape(-1), RAW / 0.02 * scale * 0.9, actual)
