"""Score a forecaster on its test span, next to the random walk fitted on the same training span."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.baselines import scale_of_steps
from models.gate import Evidence, daily_evidence
from models.metrics.scoring_rules import coverage_rates, pinball
from models.metrics.significance import diebold_mariano
from models.preprocessing.price_history import FloatArray
from models.preprocessing.windows import PooledWindows

BASIS_POINT = 1e4
"""Basis points in a log return of 1."""


def evaluate_forecasts(
    windows: PooledWindows,
    quantiles: FloatArray,
    random_walk: FloatArray,
    seeds: Sequence[FloatArray] = (),
) -> dict[str, Any]:
    """Score the forecasts of some windows.

    Args:
        windows: The `n` windows to score, all targets known.
        quantiles: `(n, horizon, 7)` log returns as they would be served.
        random_walk: `(n, horizon, 7)` log returns of the random walk.
        seeds: As `quantiles`, one per seed, for the spread between seeds.

    Returns:
        JSON-serializable: `n` windows on `dates` distinct as_of sessions; `pinball` and `random_walk_pinball` in
        basis points, mean over steps and windows, and per step (`..._by_step`); `skill`, 1 minus their
        ratio; `p`, two-sided, of the Diebold-Mariano test (null for `2 * horizon` dates or fewer);
        `coverage` and `random_walk_coverage` per nominal percent, one value per step; `seed_pinball`
        and `seed_spread`, highest minus lowest (empty and 0 without seeds).
    """
    horizon = quantiles.shape[1]
    actual = actual_returns(windows)
    loss = BASIS_POINT * pinball(actual, quantiles)
    random_walk_loss = BASIS_POINT * pinball(actual, random_walk)
    seed_losses = [float(BASIS_POINT * pinball(actual, seed).mean()) for seed in seeds]
    dates = len(np.unique(windows.as_of))
    p = None
    if dates > 2 * horizon:
        p = diebold_mariano(windows.as_of, loss.mean(axis=1), random_walk_loss.mean(axis=1), horizon).p
    return {
        "n": len(windows),
        "dates": dates,
        "pinball": float(loss.mean()),
        "pinball_by_step": loss.mean(axis=0).tolist(),
        "random_walk_pinball": float(random_walk_loss.mean()),
        "random_walk_pinball_by_step": random_walk_loss.mean(axis=0).tolist(),
        "skill": 1.0 - float(loss.mean()) / float(random_walk_loss.mean()),
        "p": p,
        "coverage": _coverage(actual, quantiles),
        "random_walk_coverage": _coverage(actual, random_walk),
        "seed_pinball": seed_losses,
        "seed_spread": max(seed_losses) - min(seed_losses) if seed_losses else 0.0,
    }


def actual_returns(windows: PooledWindows) -> FloatArray:
    """Return the actual cumulative log returns `(n, horizon)`, NaN where unknown: the targets, unscaled."""
    actual: FloatArray = windows.targets * windows.sigma[:, None] * scale_of_steps(windows.targets.shape[1])[:, 0]
    return actual


def daily_losses(windows: PooledWindows, quantiles: FloatArray, random_walk: FloatArray) -> Evidence:
    """Return the daily losses of both forecasters, mean over symbols and steps, in basis points.

    Args:
        windows: The `n` windows to score, all targets known.
        quantiles: `(n, horizon, 7)` log returns of the forecaster.
        random_walk: `(n, horizon, 7)` log returns of the random walk.
    """
    actual = actual_returns(windows)
    losses, random_walk_losses = (
        BASIS_POINT * pinball(actual, forecast).mean(axis=1) for forecast in (quantiles, random_walk)
    )
    return daily_evidence(windows.as_of, losses, random_walk_losses, actual.shape[1])


def _coverage(actual: FloatArray, quantiles: FloatArray) -> dict[str, list[float]]:
    rates = coverage_rates(actual, quantiles)
    return {f"{round(100 * nominal)}": share.tolist() for nominal, share in rates.items()}
