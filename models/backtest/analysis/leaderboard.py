"""The leaderboard: all entries of a comparison set against the random walk and the champion, best first."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from models.backtest.analysis.comparison_set import ComparisonSet
from models.backtest.analysis.naive_copy_check import Copy, detect_copy
from models.backtest.analysis.scores import EntryScores, score_entry
from models.backtest.forecast_table import Entry
from models.errors import TooLittleHistory
from models.metrics.scoring_rules import BoolArray, pinball
from models.metrics.significance import Comparison, Direction, Ratio, diebold_mariano, pesaran_timmermann, ratio_of_sums
from models.preprocessing.price_history import FloatArray
from models.training.holdout import BASIS_POINT

OVERALL = "overall"
"""Key of the figures over all steps, next to those of each step."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the leaderboard. Dictionaries have the keys `overall`, `1`, `2`, `3`: all steps, then each.

    Attributes:
        entry: The entry.
        scores: Its scores.
        ratio: Pinball over the random walk's, both as served; empty if there is no random walk.
        ratio_pinned: Pinball over that of the random walk before its calibration; empty likewise.
        rmse_ratio: RMSE of the median over the random walk's, interval by day.
        mae_ratio: MAE likewise.
        against_walk: Diebold-Mariano on pinball in basis points against the random walk, negative if better; empty
            for that random walk itself.
        against_champion: The same against the champion; empty for the champion itself.
        direction: Per step; None if there is not enough data.
        copy: Whether its median is a copy of the past, see `naive_copy_check.detect_copy`.
        missing: Number of rows of the comparison set that it lacks.
    """

    entry: Entry
    scores: EntryScores
    ratio: dict[str, Ratio]
    ratio_pinned: dict[str, float]
    rmse_ratio: dict[str, Ratio]
    mae_ratio: dict[str, Ratio]
    against_walk: dict[str, Comparison | None]
    against_champion: dict[str, Comparison | None]
    direction: dict[str, Direction | None]
    copy: Copy | None
    missing: int


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """The lines of a comparison set, lowest pinball first.

    Attributes:
        lines: One per entry.
        champion: The entry that all others are compared with, None if there is none.
        notes: What could not be computed, a sentence each.
    """

    lines: tuple[Line, ...]
    champion: Entry | None
    notes: tuple[str, ...]


def rank(comparison: ComparisonSet, champion: str | None, networks: Collection[str]) -> Leaderboard:
    """Score and compare all entries of a comparison set.

    Args:
        comparison: A comparison set with at least one row.
        champion: Forecaster that the others are compared with; None picks the network with the lowest pinball.
        networks: Names of forecasters that are networks.
    """
    losses = comparison.loss.mean(axis=1)
    order = [int(index) for index in np.argsort(losses, kind="stable")]
    chosen = _champion(comparison, order, champion, networks)
    notes = []
    if comparison.reference is None:
        notes.append("there is no random_walk on these rows: ratios and tests against it are left out")
    if champion is not None and chosen is None:
        notes.append(f"there is no forecaster named {champion} on these rows; no comparison with it is made")
    need = 2 * comparison.horizon + 1
    if comparison.days < need:
        notes.append(
            f"these rows cover {comparison.days} days; tests and intervals over {comparison.horizon} steps need "
            f"{need} "
            "and are left out"
        )
    if len(np.unique(comparison.symbol)) == 1:
        name = comparison.symbols[int(comparison.symbol[0])]
        notes.append(f"these rows are of {name} only; the results are about one symbol, not about a market")
    lines = tuple(_line(comparison, index, chosen) for index in order)
    return Leaderboard(lines, None if chosen is None else comparison.entries[chosen], tuple(notes))


def _champion(comparison: ComparisonSet, order: list[int], name: str | None, networks: Collection[str]) -> int | None:
    names = networks if name is None else (name,)
    return next((index for index in order if comparison.entries[index].forecaster in names), None)


def _line(comparison: ComparisonSet, index: int, champion: int | None) -> Line:
    walk = comparison.reference
    errors = BASIS_POINT * comparison.errors(index)
    empty = np.zeros(0)
    walk_errors = empty if walk is None else BASIS_POINT * comparison.errors(walk)
    return Line(
        entry=comparison.entries[index],
        scores=score_entry(comparison, index),
        ratio={} if walk is None else _ratios(comparison, comparison.loss[index], comparison.loss[walk]),
        ratio_pinned={} if walk is None else _pinned(comparison, index, walk),
        rmse_ratio={} if walk is None else _roots(_ratios(comparison, errors**2, walk_errors**2)),
        mae_ratio={} if walk is None else _ratios(comparison, np.abs(errors), np.abs(walk_errors)),
        against_walk=_tests(comparison, index, walk),
        against_champion=_tests(comparison, index, champion),
        direction={str(step): _direction(comparison, index, comparison.at_step(step)) for step in comparison.steps},
        copy=detect_copy(comparison, index),
        missing=comparison.missing[comparison.entries[index]],
    )


def _parts(comparison: ComparisonSet) -> list[tuple[str, BoolArray]]:
    everything = (OVERALL, np.ones(len(comparison), dtype=np.bool_))
    return [everything, *((str(step), comparison.at_step(step)) for step in comparison.steps)]


def _horizon(comparison: ComparisonSet, rows: BoolArray) -> int:
    return int(comparison.step[rows].max())


def _ratios(comparison: ComparisonSet, loss: FloatArray, other: FloatArray) -> dict[str, Ratio]:
    return {
        name: ratio_of_sums(comparison.by_day(loss, rows), comparison.by_day(other, rows), _horizon(comparison, rows))
        for name, rows in _parts(comparison)
    }


def _roots(ratios: dict[str, Ratio]) -> dict[str, Ratio]:
    """Return the roots of ratios of squared errors; the ends of an interval keep their order under a root."""
    return {
        name: Ratio(_root(ratio.value), _root(ratio.low), _root(ratio.high), ratio.days)
        for name, ratio in ratios.items()
    }


def _root(value: float) -> float:
    return float(np.sqrt(np.maximum(value, 0)))


def _pinned(comparison: ComparisonSet, index: int, walk: int) -> dict[str, float]:
    raw = BASIS_POINT * pinball(comparison.actual, comparison.raw[walk])
    ratios = {}
    for name, rows in _parts(comparison):
        total = float(raw[rows].sum())
        ratios[name] = float(comparison.loss[index][rows].sum()) / total if total > 0 else float("nan")
    return ratios


def _tests(comparison: ComparisonSet, index: int, other: int | None) -> dict[str, Comparison | None]:
    if other is None or other == index:
        return {}
    return {name: _compare(comparison, index, other, rows) for name, rows in _parts(comparison)}


def _compare(comparison: ComparisonSet, index: int, other: int, rows: BoolArray) -> Comparison | None:
    try:
        return diebold_mariano(
            comparison.as_of[rows],
            comparison.loss[index][rows],
            comparison.loss[other][rows],
            _horizon(comparison, rows),
        )
    except TooLittleHistory:
        return None


def _direction(comparison: ComparisonSet, index: int, rows: BoolArray) -> Direction | None:
    try:
        return pesaran_timmermann(
            comparison.as_of[rows], comparison.median(index)[rows], comparison.actual[rows], _horizon(comparison, rows)
        )
    except TooLittleHistory:
        return None
