"""Tables of text on the leaderboard, coverage and tests, for the terminal and the page."""

from collections.abc import Iterable

from models.backtest.analysis.leaderboard import OVERALL, Line
from models.backtest.analysis.scores import TERCILES, Coverage
from service.backtest.report.cells import (
    ABSENT,
    NOMINALS,
    TextTable,
    comparison_title,
    interval,
    number,
    p_value,
    percent,
    percent_with_margin,
    signed,
    step_name,
    test_text,
)
from service.backtest.report.document import ComparisonFindings

_TERCILE_HEADS = tuple(f"{nominal} %, {name} volatility" for name in TERCILES for nominal in NOMINALS)


def leaderboard_table(findings: ComparisonFindings) -> TextTable:
    """Return pinball, ratios and tests, best first."""
    steps = [str(step) for step in findings.comparison.steps]
    rows = []
    for line in findings.leaderboard.lines:
        by_step = line.scores.pinball_by_step.values()
        overall = line.ratio.get(OVERALL)
        rows.append(
            (
                line.entry.label,
                number(line.scores.pinball, 2),
                *(number(each, 2) for each in by_step),
                interval(overall, 4),
                number(line.ratio_pinned.get(OVERALL), 4),
                test_text(line.against_walk.get(OVERALL)),
                test_text(line.against_champion.get(OVERALL)),
                *(interval(line.rmse_ratio.get(step), 4) for step in steps),
            )
        )
    comparison = findings.comparison
    walk = "no random walk" if comparison.reference is None else comparison.entries[comparison.reference].label
    champion = findings.leaderboard.champion
    return TextTable(
        f"{comparison_title(comparison)}: leaderboard",
        (
            "forecaster",
            "pinball loss, basis points",
            *(f"pinball loss at {step_name(step)}" for step in comparison.steps),
            "ratio to the random walk",
            "ratio to the random walk before calibration",
            "Diebold-Mariano against the random walk",
            "Diebold-Mariano against the champion",
            *(f"squared error at {step_name(step)}, ratio to the random walk" for step in comparison.steps),
        ),
        tuple(rows),
        f"{len(comparison)} common rows of {comparison.rows}; {comparison.days} days. "
        f"Random walk: {walk}. Champion: {champion.label if champion else 'none'}. Brackets: 95 % interval by day. "
        "Diebold-Mariano: statistic, negative if better, and two-sided p-value. Squared error: root mean, of the "
        "median.",
    )


def coverage_table(findings: ComparisonFindings) -> TextTable:
    """Return the measured coverage, overall and by tercile of sigma."""
    rows = []
    for line, kind, coverage in _coverages(findings):
        shares = [coverage.overall, *(coverage.by_tercile[name] for name in TERCILES)]
        overall = [percent_with_margin(coverage.overall[nominal]) for nominal in NOMINALS]
        rows.append((line.entry.label, kind, *overall, *(percent(s[n].value) for s in shares[1:] for n in NOMINALS)))
    return TextTable(
        f"{comparison_title(findings.comparison)}: coverage",
        ("forecaster", "quantiles", "50 %", "80 %", "95 %", *_TERCILE_HEADS),
        tuple(rows),
        "Percent of outcomes inside each interval, with the half width of the 95 % interval by day. Low, middle, high: "
        "thirds of all rows by sigma, not of each day, since intervals must hold in volatile months as well as for "
        "volatile symbols.",
    )


def coverage_by_step_table(findings: ComparisonFindings) -> TextTable:
    """Return the measured coverage per step, and within a step per tercile."""
    rows = []
    for line, kind, coverage in _coverages(findings):
        for step, shares in coverage.by_step.items():
            thirds = coverage.by_step_and_tercile[step]
            rows.append(
                (
                    line.entry.label,
                    kind,
                    step_name(step),
                    *(percent_with_margin(shares[nominal]) for nominal in NOMINALS),
                    *(percent(thirds[name][nominal].value) for name in TERCILES for nominal in NOMINALS),
                )
            )
    columns = ("forecaster", "quantiles", "step", "50 %", "80 %", "95 %", *_TERCILE_HEADS)
    return TextTable(f"{comparison_title(findings.comparison)}: coverage by step and tercile", columns, tuple(rows))


def losses_table(findings: ComparisonFindings) -> TextTable:
    """Return raw pinball, Winkler scores, and the errors of the median."""
    rows = tuple(
        (
            line.entry.label,
            number(line.scores.raw_pinball, 2),
            *(number(line.scores.winkler[nominal], 1) for nominal in (80, 95)),
            number(line.scores.rmse, 2),
            number(line.scores.mae, 2),
            interval(line.rmse_ratio.get(OVERALL), 4),
            interval(line.mae_ratio.get(OVERALL), 4),
        )
        for line in findings.leaderboard.lines
    )
    heads = (
        "pinball loss before calibration",
        "Winkler score, 80 %",
        "Winkler score, 95 %",
        "root mean squared error",
        "mean absolute error",
        "root mean squared error, ratio to the random walk",
        "mean absolute error, ratio to the random walk",
    )
    note = "Basis points, all steps pooled. The errors are of the median. An interval entirely above 1 is worse."
    return TextTable(
        f"{comparison_title(findings.comparison)}: intervals and medians", ("forecaster", *heads), rows, note
    )


def direction_table(findings: ComparisonFindings) -> TextTable:
    """Return the Pesaran-Timmermann test per step."""
    rows = []
    for line in findings.leaderboard.lines:
        for step, found in line.direction.items():
            if found is None:
                rows.append((line.entry.label, step_name(step), *(ABSENT,) * 6))
                continue
            rows.append(
                (
                    line.entry.label,
                    step_name(step),
                    percent(found.hits),
                    percent(found.expected),
                    number(found.statistic, 2),
                    p_value(found.p),
                    number(found.clustered, 2),
                    p_value(found.clustered_p),
                )
            )
    heads = (
        "step",
        "right direction, %",
        "expected by chance, %",
        "Pesaran-Timmermann statistic",
        "p-value",
        "statistic by day",
        "p-value by day",
    )
    return TextTable(
        f"{comparison_title(findings.comparison)}: direction",
        ("forecaster", *heads),
        tuple(rows),
        "Pesaran-Timmermann 1992, one-sided. It assumes independent rows; symbols of a day are not, so use the "
        "figure by day. No figure if the median always has one sign.",
    )


def tests_table(findings: ComparisonFindings) -> TextTable:
    """Return Diebold-Mariano tests against the random walk and the champion, overall and per step."""
    rows = []
    for line in findings.leaderboard.lines:
        for other, tests in (("random walk", line.against_walk), ("champion", line.against_champion)):
            rows += [
                (
                    line.entry.label,
                    other,
                    step_name(part),
                    signed(test.difference),
                    signed(test.statistic),
                    p_value(test.p),
                )
                for part, test in tests.items()
                if test is not None
            ]
    return TextTable(
        f"{comparison_title(findings.comparison)}: Diebold-Mariano tests",
        ("forecaster", "against", "step", "difference, basis points", "Diebold-Mariano statistic", "p-value"),
        tuple(rows),
        "Harvey-Leybourne-Newbold correction, variance with the overlap of the steps, losses averaged over the symbols "
        "of a day first. Negative is better.",
    )


def _coverages(findings: ComparisonFindings) -> Iterable[tuple[Line, str, Coverage]]:
    for line in findings.leaderboard.lines:
        yield line, "served", line.scores.coverage
        if line.scores.raw_coverage is not None:
            yield line, "raw", line.scores.raw_coverage
