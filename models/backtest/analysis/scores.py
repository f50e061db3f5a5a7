"""The scores of one entry of a comparison set: pinball, coverage, Winkler score and PIT histogram."""

from dataclasses import dataclass

import numpy as np

from models.backtest.analysis.comparison_set import ComparisonSet
from models.metrics.scoring_rules import PIT_SHARES, BoolArray, pinball, pit_bins, winkler
from models.metrics.significance import Ratio, ratio_of_sums
from models.preprocessing.price_history import FloatArray
from models.training.holdout import BASIS_POINT

TERCILES = ("low", "middle", "high")
"""Thirds of the rows of a comparison set by sigma."""

WINKLER_COVERAGES = (0.80, 0.95)
"""Intervals whose Winkler score is reported."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Measured coverage of the intervals of `scoring_rules.COVERAGES`, each a share with its 95 % interval by day.

    Keys are the nominal percent: 50, 80, 95.

    Attributes:
        overall: Over all rows.
        by_step: Per step.
        by_tercile: Per tercile of sigma, all steps.
        by_step_and_tercile: Per step, then per tercile.
    """

    overall: dict[int, Ratio]
    by_step: dict[int, dict[int, Ratio]]
    by_tercile: dict[str, dict[int, Ratio]]
    by_step_and_tercile: dict[int, dict[str, dict[int, Ratio]]]


@dataclass(frozen=True, slots=True)
class EntryScores:
    """Scores of one entry on the rows of a comparison set; losses in basis points.

    Attributes:
        pinball: Mean over the rows, all steps pooled.
        pinball_by_step: Per step.
        raw_pinball: As `pinball`, before calibration; NaN if the file has no raw quantiles.
        raw_pinball_by_step: Per step.
        winkler: Per nominal percent, mean over the rows.
        rmse: Root mean squared error of the median.
        mae: Mean absolute error of the median.
        coverage: As served.
        raw_coverage: Before calibration, None if the file has no raw quantiles.
        pit: Share of outcomes in each of the eight bins of `scoring_rules.pit_bins`.
        raw_pit: The same before calibration, None likewise.
    """

    pinball: float
    pinball_by_step: dict[int, float]
    raw_pinball: float
    raw_pinball_by_step: dict[int, float]
    winkler: dict[int, float]
    rmse: float
    mae: float
    coverage: Coverage
    raw_coverage: Coverage | None
    pit: tuple[float, ...]
    raw_pit: tuple[float, ...] | None


def score_entry(comparison: ComparisonSet, index: int) -> EntryScores:
    """Return the scores of one entry.

    Args:
        comparison: A comparison set with at least one row.
        index: Position of the entry in the set.
    """
    has_raw = bool(np.isfinite(comparison.raw[index]).all())
    raw_loss = BASIS_POINT * pinball(comparison.actual, comparison.raw[index])
    errors = BASIS_POINT * comparison.errors(index)
    return EntryScores(
        pinball=float(comparison.loss[index].mean()),
        pinball_by_step=_per_step(comparison, comparison.loss[index]),
        raw_pinball=float(raw_loss.mean()),
        raw_pinball_by_step=_per_step(comparison, raw_loss),
        winkler={
            round(100 * nominal): float(
                BASIS_POINT * winkler(comparison.actual, comparison.quantiles[index], nominal).mean()
            )
            for nominal in WINKLER_COVERAGES
        },
        rmse=float(np.sqrt((errors**2).mean())),
        mae=float(np.abs(errors).mean()),
        coverage=measure_coverage(comparison, index),
        raw_coverage=measure_coverage(comparison, index, raw=True) if has_raw else None,
        pit=_pit(comparison, comparison.quantiles[index]),
        raw_pit=_pit(comparison, comparison.raw[index]) if has_raw else None,
    )


def measure_coverage(comparison: ComparisonSet, index: int, raw: bool = False) -> Coverage:
    """Return the share of outcomes in the intervals of one entry.

    Terciles are thirds of all rows of the comparison set by sigma, not thirds of each day: the question is whether
    intervals hold at high volatility, of the symbol or of the whole market, and thirds of a day would hide the
    second. A set with a single symbol has terciles, too. All entries of a set share the bounds.

    Args:
        comparison: A comparison set with at least one row.
        index: Position of the entry.
        raw: Use the quantiles before calibration.
    """
    hits = {round(100 * nominal): rows for nominal, rows in comparison.hits(index, raw).items()}
    terciles = [(name, comparison.tercile == number) for number, name in enumerate(TERCILES)]
    return Coverage(
        overall=_shares(comparison, hits, None),
        by_step={step: _shares(comparison, hits, comparison.at_step(step)) for step in comparison.steps},
        by_tercile={name: _shares(comparison, hits, rows) for name, rows in terciles},
        by_step_and_tercile={
            step: {name: _shares(comparison, hits, rows & comparison.at_step(step)) for name, rows in terciles}
            for step in comparison.steps
        },
    )


def _shares(comparison: ComparisonSet, hits: dict[int, BoolArray], rows: BoolArray | None) -> dict[int, Ratio]:
    chosen = comparison.step if rows is None else comparison.step[rows]
    horizon = int(chosen.max()) if len(chosen) else comparison.horizon
    counts = comparison.by_day(np.ones(len(comparison)), rows)
    return {
        nominal: ratio_of_sums(comparison.by_day(inside, rows), counts, horizon) for nominal, inside in hits.items()
    }


def _per_step(comparison: ComparisonSet, loss: FloatArray) -> dict[int, float]:
    return {step: float(loss[comparison.at_step(step)].mean()) for step in comparison.steps}


def _pit(comparison: ComparisonSet, quantiles: FloatArray) -> tuple[float, ...]:
    counts = np.bincount(pit_bins(comparison.actual, quantiles), minlength=len(PIT_SHARES))
    return tuple((counts / len(comparison)).tolist())
