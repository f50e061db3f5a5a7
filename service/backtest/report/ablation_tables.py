"""Tables of text on model age, lookbacks, seeds, strategies, copies, PIT and missing rows."""

from models.metrics.scoring_rules import PIT_SHARES
from service.backtest.report.cells import TextTable, comparison_title, number, percent, signed, step_name, test_text
from service.backtest.report.document import ComparisonFindings, Report

BINS = ("below 2.5", "2.5-10", "10-25", "25-50", "50-75", "75-90", "90-97.5", "above 97.5")
"""Bins of the PIT histogram, in percent."""


def age_table(findings: ComparisonFindings) -> TextTable:
    """Return the skill by model age."""
    rows = tuple(
        (figure.entry.label, figure.age, signed(100 * figure.skill), str(figure.rows), str(figure.days))
        for figure in findings.ages
    )
    note = "Age 1 is the first as_of session that a fit forecasts. Skill: 1 minus pinball over the random walk's."
    columns = ("forecaster", "age in sessions", "skill, %", "forecasts", "days")
    return TextTable(f"{comparison_title(findings.comparison)}: skill by model age", columns, rows, note)


def lookback_table(findings: ComparisonFindings) -> TextTable:
    """Return the ablation of lookbacks."""
    rows = tuple(
        (
            f"{figure.entry.forecaster} {figure.entry.strategy}",
            str(figure.entry.lookback),
            number(figure.pinball, 2),
            number(figure.ratio, 4),
            test_text(figure.against_usual),
        )
        for figure in findings.lookbacks
    )
    note = "The usual lookback is 5, or the shortest if 5 is missing."
    columns = (
        "forecaster",
        "lookback",
        "pinball loss, basis points",
        "ratio to the random walk",
        "Diebold-Mariano against the usual lookback",
    )
    return TextTable(f"{comparison_title(findings.comparison)}: lookbacks", columns, rows, note)


def rolling_table(findings: ComparisonFindings) -> TextTable:
    """Return the worst, best and newest skill over time."""
    rows = tuple(
        (
            figure.entry.label,
            signed(100 * float(figure.skill.min())),
            signed(100 * float(figure.skill.max())),
            signed(100 * float(figure.skill[-1])),
            str(figure.last[-1]),
            percent(figure.behind),
        )
        for figure in findings.rolling
    )
    columns = (
        "forecaster",
        "worst skill, %",
        "best skill, %",
        "newest skill, %",
        "newest session",
        "windows with negative skill, %",
    )
    return TextTable(f"{comparison_title(findings.comparison)}: skill over time, windows of 60 sessions", columns, rows)


def seed_table(report: Report) -> TextTable:
    """Return the spread of seeds."""
    rows = tuple(
        (
            figure.entry.label,
            ", ".join(f"{seed}: {loss:.2f}" for seed, loss in figure.pinball.items()),
            number(figure.spread, 3),
            str(figure.rows),
        )
        for figure in report.seeds
    )
    columns = ("forecaster", "pinball loss by seed, basis points", "spread, basis points", "forecasts")
    return TextTable("Seeds", columns, rows)


def disagreement_table(report: Report) -> TextTable:
    """Return the comparison of strategies on the same step."""
    rows = tuple(
        (
            f"{each.first.forecaster} {each.first.lookback}",
            f"{each.first.strategy} and {each.second.strategy}",
            step_name(each.step),
            number(each.median_gap, 2),
            number(each.median_gap_sigma, 4),
            signed(100 * each.width_gap),
            percent(each.opposite),
            number(each.correlation, 3),
            f"{each.pinball[0]:.2f} and {each.pinball[1]:.2f}",
            str(each.rows),
        )
        for each in report.disagreements
    )
    heads = (
        "gap of medians, basis points",
        "gap in daily volatilities",
        "80 % width, first / second - 1, %",
        "opposite signs, %",
        "correlation",
    )
    return TextTable(
        "Disagreement of strategies on the same session",
        ("forecaster", "strategies", "step", *heads, "pinball loss, basis points", "forecasts"),
        rows,
    )


def copies_table(findings: ComparisonFindings) -> TextTable:
    """Return the results of the check for copies of the past."""
    rows = tuple(
        (
            line.entry.label,
            {"still": "no change", "none": "no copy"}.get(line.copy.kind, f"copies the last {line.copy.kind}"),
            number(line.copy.correlation, 3),
            number(line.copy.skill, 4),
            number(line.copy.movement, 3),
        )
        for line in findings.leaderboard.lines
        if line.copy is not None
    )
    return TextTable(
        f"{comparison_title(findings.comparison)}: copies of the past",
        ("forecaster", "median of T", "correlation with the last return", "skill", "movement"),
        rows,
        "A copy has an absolute correlation of 0.9 or more and a skill of 0.01 or less against no change. Movement: "
        "spread of the median over that of the outcome.",
    )


def pit_table(findings: ComparisonFindings) -> TextTable:
    """Return the share of outcomes per PIT bin."""
    rows = [("nominal", *(percent(share) for share in PIT_SHARES))]
    for line in findings.leaderboard.lines:
        rows.append((line.entry.label, *(percent(share) for share in line.scores.pit)))
        if line.scores.raw_pit is not None:
            rows.append((f"{line.entry.label} raw", *(percent(share) for share in line.scores.raw_pit)))
    return TextTable(
        f"{comparison_title(findings.comparison)}: probability integral transform, %",
        ("forecaster", *BINS),
        tuple(rows),
    )


def missing_table(findings: ComparisonFindings) -> TextTable:
    """Return the number of rows that each entry lacks."""
    missing = findings.comparison.missing
    rows = tuple((entry.label, str(count)) for entry, count in missing.items())
    note = f"Of the {findings.comparison.rows} rows of all forecasters, {len(findings.comparison)} are common to all."
    return TextTable(
        f"{comparison_title(findings.comparison)}: rows missing", ("forecaster", "rows missing"), rows, note
    )
