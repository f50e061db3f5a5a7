"""Conversion between seven quantiles and a distribution, from which the recursive strategy samples paths."""

import numpy as np

from models.config import QUANTILES
from models.preprocessing.price_history import FloatArray

_LEVELS = np.asarray(QUANTILES)
_CANDIDATES = 256
"""Candidate orders for each step of the sampled paths."""


def inverse_cdf(quantiles: FloatArray, levels: FloatArray) -> FloatArray:
    """Return the values of a distribution at any levels, given its seven quantiles.

    Linear between neighbouring quantiles; beyond the outermost an exponential tail that also passes through the
    next one, `q - s * log(p0 / p)` with `s = (q1 - q0) / log(p1 / p0)` on the left, mirrored on the right.

    Args:
        quantiles: `(..., 7)` ascending.
        levels: `(m,)` between 0 and 1, both exclusive.

    Returns:
        `(..., m)`, ascending where the levels are.
    """
    segment = np.clip(np.searchsorted(_LEVELS, levels, side="right") - 1, 0, len(_LEVELS) - 2)
    low, high = quantiles[..., segment], quantiles[..., segment + 1]
    share = (levels - _LEVELS[segment]) / (_LEVELS[segment + 1] - _LEVELS[segment])
    values: FloatArray = low + np.clip(share, 0.0, 1.0) * (high - low)
    decay = np.log(_LEVELS[1] / _LEVELS[0])
    left = (quantiles[..., 1] - quantiles[..., 0]) / decay
    right = (quantiles[..., -1] - quantiles[..., -2]) / decay
    values -= left[..., None] * np.log(np.maximum(_LEVELS[0] / levels, 1.0))
    values += right[..., None] * np.log(np.maximum((1 - _LEVELS[-1]) / (1 - levels), 1.0))
    return values


def stratified_levels(paths: int, steps: int, seed: int) -> FloatArray:
    """Return the levels of the draws: the middles of `paths` equal strata, in a separate order for each step.

    Of many seeded orders the one with the least correlated steps is taken: with few paths, a plain random order often
    correlates the steps. Each path has its mirror image, so that the draws are symmetric.

    Args:
        paths: Draws, an even number.
        steps: Draws of one path.
        seed: Seed of the orders; equal seeds give equal levels. All forecasts share them, so that no forecast depends
            on which others are computed with it.

    Returns:
        `(steps, paths)` between 0 and 1, both exclusive.

    Raises:
        ValueError: The number of paths is odd or less than 2.
    """
    if paths < 2 or paths % 2:
        raise ValueError(f"paths is {paths}, but paths come in mirrored pairs; use an even number")
    random = np.random.default_rng(seed)
    levels = ((np.arange(paths // 2) + 0.5) / paths)[None]
    for _ in range(1, steps):
        candidates = random.permuted(np.tile(levels[0], (_CANDIDATES, 1)), axis=1)
        candidates = np.where(random.uniform(size=candidates.shape) < 0.5, candidates, 1.0 - candidates)
        correlation = np.abs((candidates - 0.5) @ (levels - 0.5).T).sum(axis=1)
        levels = np.concatenate([levels, candidates[[np.argmin(correlation)]]])
    mirrored: FloatArray = np.concatenate([levels, 1.0 - levels], axis=1)
    return mirrored


def mixture_quantiles(base: FloatArray, quantiles: FloatArray, levels: FloatArray) -> FloatArray:
    """Return the quantiles of `base + x`, with x distributed as the quantiles of each path.

    Args:
        base: `(n, paths)` cumulative return of each path.
        quantiles: `(n, paths, 7)` of the next return along each path.
        levels: `(m,)` levels at which x is evaluated, equally likely.

    Returns:
        `(n, 7)` ascending.
    """
    spread = base[:, :, None] + inverse_cdf(quantiles, levels)
    result: FloatArray = np.quantile(spread.reshape(len(base), -1), _LEVELS, axis=1).T
    return result
