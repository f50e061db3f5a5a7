"""From forecasts to findings: everything the report tells, as data and as one JSON-able document."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from math import isfinite
from typing import Any

import numpy as np

from models.backtest.analysis.ablations import (
    AgeFigure,
    Disagreement,
    LookbackFigure,
    SeedFigure,
    disagreements,
    lookback_ablation,
    seed_spread,
    skill_by_age,
)
from models.backtest.analysis.comparison_set import ComparisonSet, comparison_sets
from models.backtest.analysis.leaderboard import Leaderboard, rank
from models.backtest.analysis.rolling_skill import ROLLING_SESSIONS, RollingSkill, rolling_skill
from models.backtest.forecast_table import Entry, clean_table, served_rows
from service.backtest.report.reader import Contents, ReportError

SHOWN_NOTICES = 20
"""Sentences of the backtest that are repeated."""

SURVIVORSHIP = (
    "The symbols are those that the prices hold: companies that failed or were taken over earlier are seldom among "
    "them, so losses may look smaller than they would have been; forecasters compared on the same rows share that."
)
"""Said in every report."""


@dataclass(frozen=True, slots=True)
class ComparisonFindings:
    """All that is told of one board.

    Attributes:
        board: The rows compared.
        leaderboard: Its lines, best first.
        ages: Skill by model age; empty where no fold is known.
        lookbacks: The lookback study; empty where no forecaster has two.
        rolling: Skill over time; empty where there are too few sessions.
        notes: What could not be told, a sentence each.
    """

    comparison: ComparisonSet
    leaderboard: Leaderboard
    ages: tuple[AgeFigure, ...]
    lookbacks: tuple[LookbackFigure, ...]
    rolling: tuple[RollingSkill, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All that is told of some files.

    Attributes:
        files: Their names.
        rows: Rows read.
        symbols: Symbols in the rows that are judged.
        first: First as_of session judged, inclusive.
        last: Last as_of session judged, inclusive.
        comparison_sets: One per set of steps.
        seeds: Spread of seeds.
        disagreements: Strategies of one forecaster beside each other.
        notes: What was left out, and what to bear in mind, a sentence each.
    """

    files: tuple[str, ...]
    rows: int
    symbols: tuple[str, ...]
    first: date
    last: date
    comparison_sets: tuple[ComparisonFindings, ...]
    seeds: tuple[SeedFigure, ...]
    disagreements: tuple[Disagreement, ...]
    notes: tuple[str, ...]


def make_report(contents: Contents, files: tuple[str, ...], champion: str | None, networks: Collection[str]) -> Report:
    """Judge what some files hold.

    Args:
        contents: See `reading.read_files`.
        files: Their names, to be told.
        champion: Forecaster that the others are compared with; None picks the best network of each board.
        networks: Names of forecasters that are networks.

    Raises:
        ReportError: No row can be judged, or there is no forecaster of the champion's name.
    """
    tidied, notes = clean_table(contents.table)
    if not len(tidied):
        raise ReportError(f"no row of {', '.join(files)} can be judged: {'; '.join(notes)}")
    names = sorted({entry.forecaster for entry in tidied.entries})
    if champion is not None and champion not in names:
        raise ReportError(f"there is no forecaster named {champion}; the file holds {', '.join(names)}")
    table = served_rows(tidied)
    found = []
    for comparison in comparison_sets(table):
        if len(comparison):
            found.append(_findings(comparison, champion, networks))
        else:
            labels = ", ".join(entry.label for entry in comparison.entries)
            notes += (f"no row is common to {labels}: they are not compared; leave some out with --only",)
    symbols = tuple(table.symbols[index] for index in np.unique(table.symbol))
    return Report(
        files=files,
        rows=len(contents.table),
        symbols=symbols,
        first=table.as_of.min().astype(object),
        last=table.as_of.max().astype(object),
        comparison_sets=tuple(found),
        seeds=seed_spread(tidied),
        disagreements=disagreements(table),
        notes=(*notes, *_notices(contents), *_absent(contents), SURVIVORSHIP, *_sampling(found)),
    )


def _findings(comparison: ComparisonSet, champion: str | None, networks: Collection[str]) -> ComparisonFindings:
    leaderboard = rank(comparison, champion, networks)
    notes = list(leaderboard.notes)
    if comparison.conflicts:
        whose = comparison.entries[comparison.reference or 0].label
        notes.append(
            f"forecasters disagree about the outcome of {comparison.conflicts} rows; those of {whose} are used"
        )
    if comparison.days < ROLLING_SESSIONS:
        notes.append(
            f"skill over time needs {ROLLING_SESSIONS} as_of sessions, there are {comparison.days}; it is left out"
        )
    notes += [
        f"{line.entry.label} copies the past: the median is the last {line.copy.kind} again "
        f"(correlation {line.copy.correlation:.2f}, skill of the median {line.copy.skill:.3f})"
        for line in leaderboard.lines
        if line.copy is not None and line.copy.suspicious
    ]
    return ComparisonFindings(
        comparison,
        leaderboard,
        skill_by_age(comparison),
        lookback_ablation(comparison),
        rolling_skill(comparison),
        tuple(notes),
    )


def _notices(contents: Contents) -> list[str]:
    """What the backtest said itself, cut where it is long."""
    shown = [f"notice of the backtest: {sentence}" for sentence in contents.notices[:SHOWN_NOTICES]]
    more = len(contents.notices) - SHOWN_NOTICES
    return shown if more <= 0 else [*shown, f"the backtest said {more} more such sentences; they stand in its file"]


def _absent(contents: Contents) -> list[str]:
    """What the files lack, so that nobody looks for it in vain."""
    notes = []
    if not contents.has_raw:
        notes.append("the files have no raw quantiles: figures before calibration are left out")
    if not contents.has_folds:
        notes.append("the files have neither fold nor fitted_until: skill by model age is left out")
    if not contents.has_seeds:
        notes.append("the files have no single seeds: their spread is left out")
    return notes


def _sampling(found: list[ComparisonFindings]) -> list[str]:
    """How exact a measured coverage can be, from the rows themselves."""
    if not found:
        return []
    findings = found[0]
    ratios = findings.leaderboard.lines[0].scores.coverage.overall
    halves = {nominal: 50 * (ratio.high - ratio.low) for nominal, ratio in ratios.items()}
    if not all(isfinite(half) for half in halves.values()):
        return ["Measured coverage has a sampling error of its own; there are too few days to tell it."]
    widths = ", ".join(f"{half:.1f} at {nominal} %" for nominal, half in halves.items())
    return [
        f"Measured coverage has a sampling error of its own: over {findings.comparison.days} days, symbols of a day "
        f"taken as one cluster, the true figure lies this many points or less from it 19 times of 20: {widths}."
    ]


def to_dict(report: Report) -> dict[str, Any]:
    """The report as one JSON document: NaN and infinity become null, dates become text, arrays lists."""
    document: dict[str, Any] = plain(report)
    for shown, findings in zip(document["comparison_sets"], report.comparison_sets, strict=True):
        comparison = findings.comparison
        shown["board"] = {
            "steps": list(comparison.steps),
            "entries": [entry.label for entry in comparison.entries],
            "reference": None if comparison.reference is None else comparison.entries[comparison.reference].label,
            "rows": len(comparison),
            "rows_of_any": comparison.rows,
            "missing": {entry.label: count for entry, count in comparison.missing.items()},
            "days": comparison.days,
            "symbols": len(np.unique(comparison.symbol)),
        }
    return document


def plain(value: Any) -> Any:
    """One value as JSON can hold it."""
    if isinstance(value, ComparisonSet):
        return None
    if isinstance(value, Entry):
        return {"forecaster": value.forecaster, "strategy": value.strategy, "lookback": value.lookback}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.astype(str).tolist() if value.dtype.kind == "M" else value.tolist())
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value.isoformat() if isinstance(value, date) else value
