"""Ablations: the effect of the model's age, lookback, seed and strategy on the scores."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from models.backtest.analysis.comparison_set import ComparisonSet
from models.backtest.forecast_table import UNKNOWN, Entry, ForecastTable
from models.config import INTERVAL_BOUNDS, MEDIAN
from models.errors import TooLittleHistory
from models.metrics.scoring_rules import pinball, skill
from models.metrics.significance import Comparison, diebold_mariano
from models.preprocessing.price_history import FloatArray
from models.preprocessing.windows import IntArray
from models.training.holdout import BASIS_POINT

AGES: tuple[tuple[str, int], ...] = (("1", 1), ("2-5", 5), ("6-20", 20), ("21-60", 60), ("over 60", 1_000_000))
"""Buckets of model age in sessions: name and oldest age, inclusive."""

USUAL_LOOKBACK = 5
"""The lookback that others are compared with, if the file has it."""

_LOW_80, _HIGH_80 = INTERVAL_BOUNDS[0.80]


@dataclass(frozen=True, slots=True)
class AgeFigure:
    """Skill of one entry at one age of its fit: 1 minus its pinball over the random walk's on `rows` rows."""

    entry: Entry
    age: str
    skill: float
    rows: int
    days: int


@dataclass(frozen=True, slots=True)
class LookbackFigure:
    """One lookback of a forecaster on the rows of a comparison set.

    `pinball` is in basis points, `ratio` is over the random walk's. `against_usual` is the Diebold-Mariano test against
    lookback 5 (the shortest, if the file lacks 5): None for that one itself, and if there are not enough days.
    """

    entry: Entry
    pinball: float
    ratio: float
    against_usual: Comparison | None


@dataclass(frozen=True, slots=True)
class SeedFigure:
    """Spread of the seeds of an entry, in basis points of pinball, on the rows that all of them have."""

    entry: Entry
    pinball: dict[int, float]
    spread: float
    rows: int


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two strategies of one forecaster on the same symbol, as_of and step; distances in basis points.

    Attributes:
        first: One entry.
        second: The other.
        step: The step that both forecast.
        median_gap: Mean absolute difference of the medians.
        median_gap_sigma: The same, each over sigma sqrt(step).
        width_gap: Mean of the first's 80 % width minus the second's, over the mean of the second's.
        opposite: Share of rows whose medians have opposite signs.
        correlation: Of the medians; NaN if one is constant.
        pinball: Mean pinball of the first and of the second.
        rows: Rows compared.
    """

    first: Entry
    second: Entry
    step: int
    median_gap: float
    median_gap_sigma: float
    width_gap: float
    opposite: float
    correlation: float
    pinball: tuple[float, float]
    rows: int


def model_ages(comparison: ComparisonSet, index: int) -> IntArray:
    """Return the sessions since the fit of one entry: 1 on the first as_of of a fit, then one more each as_of.

    They are counted on the as_of sessions of the comparison set that the fold covers, all symbols pooled, so no
    calendar is needed.

    Returns:
        `(n,)`; 0 if the fold is not known.
    """
    fold = comparison.fold[index]
    pairs, position = np.unique(fold * comparison.days + comparison.day, return_inverse=True)
    started = np.diff(pairs // max(comparison.days, 1), prepend=-2) != 0
    order = np.arange(len(pairs))
    since = order - np.maximum.accumulate(np.where(started, order, 0))
    ages: IntArray = np.where(fold == UNKNOWN, 0, since[position] + 1).astype(np.int64)
    return ages


def skill_by_age(comparison: ComparisonSet) -> tuple[AgeFigure, ...]:
    """Return the skill against the random walk per bucket of `AGES`, for all other entries with known folds.

    Empty if there is no random walk or no fold is known.
    """
    if comparison.reference is None:
        return ()
    figures = []
    for index, entry in enumerate(comparison.entries):
        if index == comparison.reference or not (comparison.fold[index] != UNKNOWN).any():
            continue
        ages, youngest = model_ages(comparison, index), 0
        for name, oldest in AGES:
            rows = (ages > youngest) & (ages <= oldest)
            youngest = oldest
            if rows.any():
                gain = skill(comparison.loss[index][rows], comparison.loss[comparison.reference][rows])
                figures.append(AgeFigure(entry, name, gain, int(rows.sum()), len(np.unique(comparison.day[rows]))))
    return tuple(figures)


def lookback_ablation(comparison: ComparisonSet) -> tuple[LookbackFigure, ...]:
    """Return all entries whose forecaster and strategy have two or more lookbacks, shortest first."""
    families: dict[tuple[str, str], list[int]] = {}
    for index, entry in enumerate(comparison.entries):
        families.setdefault((entry.forecaster, entry.strategy), []).append(index)
    figures = []
    for members in families.values():
        if len(members) < 2:
            continue
        members.sort(key=lambda index: comparison.entries[index].lookback)
        usual = next((index for index in members if comparison.entries[index].lookback == USUAL_LOOKBACK), members[0])
        figures += [_lookback(comparison, index, usual) for index in members]
    return tuple(figures)


def _lookback(comparison: ComparisonSet, index: int, usual: int) -> LookbackFigure:
    mean = float(comparison.loss[index].mean())
    walk = float("nan") if comparison.reference is None else float(comparison.loss[comparison.reference].mean())
    ratio = mean / walk if walk > 0 else float("nan")
    if index == usual:
        return LookbackFigure(comparison.entries[index], mean, ratio, None)
    try:
        test = diebold_mariano(comparison.as_of, comparison.loss[index], comparison.loss[usual], comparison.horizon)
    except TooLittleHistory:
        return LookbackFigure(comparison.entries[index], mean, ratio, None)
    return LookbackFigure(comparison.entries[index], mean, ratio, test)


def seed_spread(table: ForecastTable) -> tuple[SeedFigure, ...]:
    """Return the pinball of each seed and the highest minus the lowest, for all entries with two or more seeds."""
    figures = []
    for index, entry in enumerate(table.entries):
        own = table.take((table.entry == index) & (table.seed != UNKNOWN))
        seeds = np.unique(own.seed)
        if len(seeds) < 2:
            continue
        _, position, counts = np.unique(own.keys(), return_inverse=True, return_counts=True)
        own = own.take(counts[position] == len(seeds))
        loss = BASIS_POINT * pinball(own.actual, own.quantiles)
        if len(own):
            losses = {int(seed): float(loss[own.seed == seed].mean()) for seed in seeds}
            spread = max(losses.values()) - min(losses.values())
            figures.append(SeedFigure(entry, losses, spread, len(own) // len(seeds)))
    return tuple(figures)


def disagreements(table: ForecastTable) -> tuple[Disagreement, ...]:
    """Compare all pairs of strategies of one forecaster and lookback, for each step that both have.

    Args:
        table: Rows as `forecast_table.served_rows` returns them.
    """
    families: dict[tuple[str, int], list[int]] = {}
    for index in np.unique(table.entry).tolist():
        entry = table.entries[index]
        families.setdefault((entry.forecaster, entry.lookback), []).append(index)
    figures = []
    for members in families.values():
        members.sort(key=lambda index: table.entries[index].strategy, reverse=True)
        for first, second in combinations(members, 2):
            left, right = table.take(table.entry == first), table.take(table.entry == second)
            for step in np.intersect1d(left.step, right.step).tolist():
                found = _disagreement(left.take(left.step == step), right.take(right.step == step))
                figures += [] if found is None else [found]
    return tuple(figures)


def _disagreement(one: ForecastTable, other: ForecastTable) -> Disagreement | None:
    """Compare two tables of one entry and one step each; return None if they have no common row."""
    _, left, right = np.intersect1d(one.keys(), other.keys(), return_indices=True)
    if not len(left):
        return None
    a, b, step = one.quantiles[left], other.quantiles[right], int(one.step[0])
    actual, scale = one.actual[left], one.sigma[left] * np.sqrt(step)
    gap = np.abs(a[:, MEDIAN] - b[:, MEDIAN])
    width = b[:, _HIGH_80] - b[:, _LOW_80]
    total = float(width.sum())
    return Disagreement(
        first=one.entries[int(one.entry[0])],
        second=other.entries[int(other.entry[0])],
        step=step,
        median_gap=float(BASIS_POINT * gap.mean()),
        median_gap_sigma=float((gap / scale).mean()) if (scale > 0).all() else float("nan"),
        width_gap=float((a[:, _HIGH_80] - a[:, _LOW_80]).sum()) / total - 1 if total > 0 else float("nan"),
        opposite=float((a[:, MEDIAN] * b[:, MEDIAN] < 0).mean()),
        correlation=_correlation(a[:, MEDIAN], b[:, MEDIAN]),
        pinball=(float(BASIS_POINT * pinball(actual, a).mean()), float(BASIS_POINT * pinball(actual, b).mean())),
        rows=len(left),
    )


def _correlation(one: FloatArray, other: FloatArray) -> float:
    if len(one) < 2 or one.std() < 1e-12 or other.std() < 1e-12:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])
