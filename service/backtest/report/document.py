"""The findings of a report, computed from the forecasts: as data and as one JSON document."""

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

MAX_NOTES = 20
"""Maximum of notes of the backtest that the report repeats."""

SURVIVORSHIP = (
    "The symbols are those of the price source: it rarely includes companies that failed or were taken over, "
    "so losses may look smaller than they were; forecasters compared on the same rows share that bias."
)
"""Note of every report."""


@dataclass(frozen=True, slots=True)
class ComparisonFindings:
    """The findings of one comparison set.

    Attributes:
        comparison: The compared rows.
        leaderboard: Its lines, best first.
        ages: Skill by model age; empty if no fold is known.
        lookbacks: The ablation of lookbacks; empty if no forecaster has two.
        rolling: Skill over time; empty if there are not enough sessions.
        notes: What could not be computed, a sentence each.
    """

    comparison: ComparisonSet
    leaderboard: Leaderboard
    ages: tuple[AgeFigure, ...]
    lookbacks: tuple[LookbackFigure, ...]
    rolling: tuple[RollingSkill, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of some files.

    Attributes:
        files: Names of the files.
        rows: Number of rows read.
        symbols: Symbols of the evaluated rows.
        first: First evaluated as_of session, inclusive.
        last: Last evaluated as_of session, inclusive.
        comparison_sets: Findings per set of steps.
        seeds: Spread of seeds.
        disagreements: Differences between the strategies of one forecaster.
        notes: What was left out, and remarks, a sentence each.
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
    """Evaluate the forecasts of some files.

    Args:
        contents: See `reader.read_files`.
        files: Names of the files, for the report.
        champion: Forecaster that the others are compared with; None picks the best network of each comparison set.
        networks: Names of forecasters that are networks.

    Raises:
        ReportError: No row can be evaluated, or there is no forecaster of the champion's name.
    """
    cleaned, notes = clean_table(contents.table)
    if not len(cleaned):
        raise ReportError(f"no row of {', '.join(files)} can be evaluated: {'; '.join(notes)}")
    names = sorted({entry.forecaster for entry in cleaned.entries})
    if champion is not None and champion not in names:
        raise ReportError(f"there is no forecaster named {champion}; the file has {', '.join(names)}")
    table = served_rows(cleaned)
    findings = []
    for comparison in comparison_sets(table):
        if len(comparison):
            findings.append(_findings(comparison, champion, networks))
        else:
            labels = ", ".join(entry.label for entry in comparison.entries)
            notes += (f"no row is common to {labels}: they are not compared; exclude some with --only",)
    symbols = tuple(table.symbols[index] for index in np.unique(table.symbol))
    return Report(
        files=files,
        rows=len(contents.table),
        symbols=symbols,
        first=table.as_of.min().astype(object),
        last=table.as_of.max().astype(object),
        comparison_sets=tuple(findings),
        seeds=seed_spread(cleaned),
        disagreements=disagreements(table),
        notes=(*notes, *_backtest_notes(contents), *_absent(contents), SURVIVORSHIP, *_sampling_error(findings)),
    )


def _findings(comparison: ComparisonSet, champion: str | None, networks: Collection[str]) -> ComparisonFindings:
    leaderboard = rank(comparison, champion, networks)
    notes = list(leaderboard.notes)
    if comparison.conflicts:
        used = comparison.entries[comparison.reference or 0].label
        notes.append(f"forecasters have different outcomes on {comparison.conflicts} rows; those of {used} are used")
    if comparison.days < ROLLING_SESSIONS:
        notes.append(
            f"skill over time needs {ROLLING_SESSIONS} as_of sessions, there are {comparison.days}; it is left out"
        )
    notes += [
        f"{line.entry.label} copies the past: its median repeats the last {line.copy.kind} "
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


def _backtest_notes(contents: Contents) -> list[str]:
    """Return the notes of the backtest, at most `MAX_NOTES`."""
    notes = [f"note of the backtest: {sentence}" for sentence in contents.notices[:MAX_NOTES]]
    more = len(contents.notices) - MAX_NOTES
    return notes if more <= 0 else [*notes, f"the file has {more} more notes of the backtest"]


def _absent(contents: Contents) -> list[str]:
    """Return notes on what the files lack and the report therefore leaves out."""
    notes = []
    if not contents.has_raw:
        notes.append("the files have no raw quantiles: figures before calibration are left out")
    if not contents.has_folds:
        notes.append("the files have neither fold nor fitted_until: skill by model age is left out")
    if not contents.has_seeds:
        notes.append("the files have no single seeds: the spread of seeds is left out")
    return notes


def _sampling_error(findings: list[ComparisonFindings]) -> list[str]:
    """Return a note on the sampling error of measured coverage, computed from the rows."""
    if not findings:
        return []
    ratios = findings[0].leaderboard.lines[0].scores.coverage.overall
    margins = {nominal: 50 * (ratio.high - ratio.low) for nominal, ratio in ratios.items()}
    if not all(isfinite(margin) for margin in margins.values()):
        return ["Measured coverage has a sampling error; there are not enough days to estimate it."]
    margin_texts = ", ".join(f"{margin:.1f} at {nominal} %" for nominal, margin in margins.items())
    return [
        f"Measured coverage has a sampling error: over {findings[0].comparison.days} days, with the symbols of a day "
        f"as one cluster, the true figure is within this many points of it 19 times out of 20: {margin_texts}."
    ]


def to_dict(report: Report) -> dict[str, Any]:
    """Return the report as a JSON-serializable dictionary: NaN and infinity are null, dates text, arrays lists."""
    document: dict[str, Any] = plain(report)
    for section, findings in zip(document["comparison_sets"], report.comparison_sets, strict=True):
        comparison = findings.comparison
        section["comparison"] = {
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
    """Return one value in JSON-serializable form."""
    if isinstance(value, ComparisonSet):
        return None
    if isinstance(value, Entry):
        return {"forecaster": value.forecaster, "strategy": value.strategy, "lookback": value.lookback}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.astype(str).tolist() if value.dtype.kind == "M" else value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value.isoformat() if isinstance(value, date) else value
