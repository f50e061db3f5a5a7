"""What a forecaster earned on its judging span, beside the random walk fitted on the same fit span."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.baselines import scale_of_steps
from models.gate import Evidence, daily_evidence
from models.metrics.scoring_rules import coverage_rates, pinball
from models.metrics.significance import diebold_mariano
from models.preprocessing.frame import FloatArray
from models.preprocessing.windows import PooledWindows

BASIS_POINT = 1e4
"""Basis points in a log return of 1."""


def judge(
    windows: PooledWindows,
    quantiles: FloatArray,
    random_walk: FloatArray,
    seeds: Sequence[FloatArray] = (),
) -> dict[str, Any]:
    """Score forecasts of one set of windows.

    Args:
        windows: The `n` windows judged, every target known.
        quantiles: `(n, horizon, 7)` log returns, what would be served.
        random_walk: `(n, horizon, 7)` log returns of the random walk.
        seeds: As `quantiles`, one per seed, to tell how far they lie apart.

    Returns:
        JSON-able: `n` windows on `dates` distinct as_of sessions; `pinball` and `random_walk_pinball` in
        basis points, mean over steps and windows, and per step (`..._by_step`); `skill`, 1 less their
        ratio; `p`, two-sided, of the Diebold-Mariano test (null under `2 * horizon + 1` dates);
        `coverage` and `random_walk_coverage` per nominal percent, one figure per step; `seed_pinball`
        and `seed_spread`, highest less lowest (empty and 0 without seeds).
    """
    horizon = quantiles.shape[1]
    actual = actual_returns(windows)
    loss, other = BASIS_POINT * pinball(actual, quantiles), BASIS_POINT * pinball(actual, random_walk)
    each = [float(BASIS_POINT * pinball(actual, seed).mean()) for seed in seeds]
    dates = len(np.unique(windows.as_of))
    p = None
    if dates > 2 * horizon:
        p = diebold_mariano(windows.as_of, loss.mean(axis=1), other.mean(axis=1), horizon).p
    return {
        "n": len(windows),
        "dates": dates,
        "pinball": float(loss.mean()),
        "pinball_by_step": loss.mean(axis=0).tolist(),
        "random_walk_pinball": float(other.mean()),
        "random_walk_pinball_by_step": other.mean(axis=0).tolist(),
        "skill": 1.0 - float(loss.mean()) / float(other.mean()),
        "p": p,
        "coverage": _coverage(actual, quantiles),
        "random_walk_coverage": _coverage(actual, random_walk),
        "seed_pinball": each,
        "seed_spread": max(each) - min(each) if each else 0.0,
    }


def actual_returns(windows: PooledWindows) -> FloatArray:
    """`(n, horizon)` cumulative log returns that came, NaN where unknown: the targets, no longer scaled."""
    actual: FloatArray = windows.targets * windows.sigma[:, None] * scale_of_steps(windows.targets.shape[1])[:, 0]
    return actual


def daily_losses(windows: PooledWindows, quantiles: FloatArray, random_walk: FloatArray) -> Evidence:
    """What both lost day by day, mean over symbols and steps, in basis points.

    Args:
        windows: The `n` windows judged, every target known.
        quantiles: `(n, horizon, 7)` log returns.
        random_walk: `(n, horizon, 7)` log returns of the random walk.
    """
    actual = actual_returns(windows)
    own, walk = (BASIS_POINT * pinball(actual, each).mean(axis=1) for each in (quantiles, random_walk))
    return daily_evidence(windows.as_of, own, walk, actual.shape[1])


def _coverage(actual: FloatArray, quantiles: FloatArray) -> dict[str, list[float]]:
    rates = coverage_rates(actual, quantiles)
    return {f"{round(100 * nominal)}": share.tolist() for nominal, share in rates.items()}
