"""Model age, lookbacks, seeds, strategies and canaries as tables of text."""

from models.metrics.scoring_rules import PIT_SHARES
from service.backtest.report.cells import TextTable, comparison_title, number, percent, signed, step_name, test_text
from service.backtest.report.document import ComparisonFindings, Report

BINS = ("below 2.5", "2.5-10", "10-25", "25-50", "50-75", "75-90", "90-97.5", "above 97.5")
"""Bins of the PIT histogram, in percent."""


def age_table(findings: ComparisonFindings) -> TextTable:
    """Skill by model age."""
    rows = tuple(
        (figure.entry.label, figure.age, signed(100 * figure.skill), str(figure.rows), str(figure.days))
        for figure in findings.ages
    )
    note = "Age 1 is the first as_of session that a fit forecasts. Skill: 1 less pinball over the random walk's."
    columns = ("forecaster", "age in sessions", "skill %", "rows", "days")
    return TextTable(f"{comparison_title(findings.comparison)}: skill by model age", columns, rows, note)


def lookback_table(findings: ComparisonFindings) -> TextTable:
    """The lookback study."""
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
    note = "DM: against lookback 5, or the shortest where 5 is absent."
    columns = ("forecaster", "lookback", "pinball bp", "/ random walk", "DM")
    return TextTable(f"{comparison_title(findings.comparison)}: lookbacks", columns, rows, note)


def rolling_table(findings: ComparisonFindings) -> TextTable:
    """Skill over time in a few figures."""
    rows = tuple(
        (
            each.entry.label,
            signed(100 * float(each.skill.min())),
            signed(100 * float(each.skill.max())),
            signed(100 * float(each.skill[-1])),
            str(each.last[-1]),
            percent(each.behind),
        )
        for each in findings.rolling
    )
    columns = ("forecaster", "worst %", "best %", "newest %", "to", "behind the random walk, % of windows")
    return TextTable(f"{comparison_title(findings.comparison)}: skill over time, windows of 60 sessions", columns, rows)


def seed_table(report: Report) -> TextTable:
    """Spread of seeds."""
    rows = tuple(
        (
            figure.entry.label,
            ", ".join(f"{seed}: {loss:.2f}" for seed, loss in figure.pinball.items()),
            number(figure.spread, 3),
            str(figure.rows),
        )
        for figure in report.seeds
    )
    return TextTable("Seeds", ("forecaster", "pinball bp by seed", "spread bp", "rows"), rows)


def disagreement_table(report: Report) -> TextTable:
    """Strategies beside each other on the same step."""
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
    heads = ("gap of medians bp", "in sigmas", "80 % width, first / second - 1, %", "opposite signs %", "correlation")
    return TextTable(
        "Disagreement of strategies on the same session",
        ("forecaster", "strategies", "step", *heads, "pinball bp", "rows"),
        rows,
    )


def copies_table(findings: ComparisonFindings) -> TextTable:
    """What the lag-1 detector found."""
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
        "A copy has a correlation of 0.9 or more in size and a skill of 0.01 or less against no change. Movement: "
        "spread of the median over that of the outcome.",
    )


def pit_table(findings: ComparisonFindings) -> TextTable:
    """Share of outcomes per bin."""
    rows = [("nominal", *(percent(share) for share in PIT_SHARES))]
    for line in findings.leaderboard.lines:
        rows.append((line.entry.label, *(percent(share) for share in line.scores.pit)))
        if line.scores.raw_pit is not None:
            rows.append((f"{line.entry.label} raw", *(percent(share) for share in line.scores.raw_pit)))
    return TextTable(
        f"{comparison_title(findings.comparison)}: where outcomes fell, %", ("forecaster", *BINS), tuple(rows)
    )


def missing_table(findings: ComparisonFindings) -> TextTable:
    """Rows that each entry lacks."""
    missing = findings.comparison.missing
    rows = tuple((entry.label, str(count)) for entry, count in missing.items())
    note = f"Of the {findings.comparison.rows} rows that any of them has; {len(findings.comparison)} are common to all."
    return TextTable(
        f"{comparison_title(findings.comparison)}: rows missing", ("forecaster", "rows missing"), rows, note
    )
