"""From seven quantiles to a distribution and back: what the recursive strategy draws from and sums up."""

import numpy as np

from models.config import QUANTILES
from models.preprocessing.frame import FloatArray

_LEVELS = np.asarray(QUANTILES)
_TRIED = 256
"""Orders tried for each step of the sampled paths."""


def inverse_cdf(quantiles: FloatArray, levels: FloatArray) -> FloatArray:
    """Values of a distribution at any levels, given its seven quantiles.

    Linear between neighbouring quantiles; beyond the outermost an exponential tail that also goes through the
    next one, `q - s * log(p0 / p)` with `s = (q1 - q0) / log(p1 / p0)` on the left, mirrored on the right.

    Args:
        quantiles: `(..., 7)` ascending.
        levels: `(m,)` between 0 and 1, both exclusive.

    Returns:
        `(..., m)`, ascending where the levels are.
    """
    place = np.clip(np.searchsorted(_LEVELS, levels, side="right") - 1, 0, len(_LEVELS) - 2)
    low, high = quantiles[..., place], quantiles[..., place + 1]
    share = (levels - _LEVELS[place]) / (_LEVELS[place + 1] - _LEVELS[place])
    values: FloatArray = low + np.clip(share, 0.0, 1.0) * (high - low)
    decay = np.log(_LEVELS[1] / _LEVELS[0])
    left = (quantiles[..., 1] - quantiles[..., 0]) / decay
    right = (quantiles[..., -1] - quantiles[..., -2]) / decay
    values -= left[..., None] * np.log(np.maximum(_LEVELS[0] / levels, 1.0))
    values += right[..., None] * np.log(np.maximum((1 - _LEVELS[-1]) / (1 - levels), 1.0))
    return values


def stratified_levels(paths: int, steps: int, seed: int) -> FloatArray:
    """Levels to draw at: the middles of `paths` equal strata, in an order of their own at each step.

    Of many seeded orders that one is taken whose steps are least correlated: few paths in a plain random order would
    follow up high draws with high ones, or with low ones. Every path has its mirror, so that no draw is lopsided.

    Args:
        paths: Draws, an even number.
        steps: Draws of one path.
        seed: Of the orders tried; equal seeds, equal levels. They are shared by every forecast, so that none depends
            on which others are made beside it.

    Returns:
        `(steps, paths)` between 0 and 1, both exclusive.

    Raises:
        ValueError: The number of paths is odd or less than 2.
    """
    if paths < 2 or paths % 2:
        raise ValueError(f"paths come in mirrored pairs, received {paths}; give an even number")
    random = np.random.default_rng(seed)
    levels = ((np.arange(paths // 2) + 0.5) / paths)[None]
    for _ in range(1, steps):
        tried = random.permuted(np.tile(levels[0], (_TRIED, 1)), axis=1)
        tried = np.where(random.uniform(size=tried.shape) < 0.5, tried, 1.0 - tried)
        related = np.abs((tried - 0.5) @ (levels - 0.5).T).sum(axis=1)
        levels = np.concatenate([levels, tried[[np.argmin(related)]]])
    both: FloatArray = np.concatenate([levels, 1.0 - levels], axis=1)
    return both


def mixture_quantiles(base: FloatArray, quantiles: FloatArray, levels: FloatArray) -> FloatArray:
    """Quantiles of `base + x`, one path in `paths` each, x distributed as that path's quantiles say.

    Args:
        base: `(n, paths)` what each path has come to.
        quantiles: `(n, paths, 7)` of the next return along each path.
        levels: `(m,)` levels at which x is spread out, equally likely.

    Returns:
        `(n, 7)` ascending.
    """
    spread = base[:, :, None] + inverse_cdf(quantiles, levels)
    answer: FloatArray = np.quantile(spread.reshape(len(base), -1), _LEVELS, axis=1).T
    return answer
