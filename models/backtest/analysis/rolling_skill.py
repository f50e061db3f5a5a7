"""Skill over time, since a mean over many years hides the months with negative skill."""

from dataclasses import dataclass

import numpy as np

from models.backtest.analysis.comparison_set import ComparisonSet
from models.backtest.forecast_table import Entry
from models.preprocessing.price_history import DateArray, FloatArray

ROLLING_SESSIONS = 60
"""Sessions of the rolling window."""


@dataclass(frozen=True, slots=True)
class RollingSkill:
    """Skill of one entry against the random walk over a rolling window of as_of sessions.

    Attributes:
        entry: The entry.
        last: `(m,)` datetime64[D], last as_of session of each window, inclusive.
        skill: `(m,)` 1 minus summed pinball over the random walk's.
        behind: Share of the windows with a negative skill.
    """

    entry: Entry
    last: DateArray
    skill: FloatArray
    behind: float


def rolling_skill(comparison: ComparisonSet, sessions: int = ROLLING_SESSIONS) -> tuple[RollingSkill, ...]:
    """Return the rolling skill of all entries except the random walk.

    Args:
        comparison: The comparison set.
        sessions: As_of sessions of a window, 1 or more.

    Returns:
        Empty if there is no random walk, or if there are fewer sessions than a window has.
    """
    if comparison.reference is None or comparison.days < sessions:
        return ()
    dates = np.unique(comparison.as_of)[sessions - 1 :]
    walk = _windows(comparison, comparison.loss[comparison.reference], sessions)
    figures = []
    for index, entry in enumerate(comparison.entries):
        if index == comparison.reference:
            continue
        own = _windows(comparison, comparison.loss[index], sessions)
        with np.errstate(divide="ignore", invalid="ignore"):
            skill = np.where(walk > 0, 1 - own / walk, np.nan)
        figures.append(RollingSkill(entry, dates, skill, float((skill < 0).mean())))
    return tuple(figures)


def _windows(comparison: ComparisonSet, loss: FloatArray, sessions: int) -> FloatArray:
    # A difference of running sums would leave rounding errors if losses are tiny compared with their sum.
    sums: FloatArray = np.lib.stride_tricks.sliding_window_view(comparison.by_day(loss), sessions).sum(axis=1)
    return sums
