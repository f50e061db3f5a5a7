"""The plots of the page: each a Plotly figure with a text alternative."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from models.backtest.analysis.ablations import AGES
from models.backtest.analysis.leaderboard import OVERALL
from models.backtest.analysis.scores import TERCILES
from models.backtest.forecast_table import Entry
from models.metrics.scoring_rules import PIT_SHARES
from service.backtest.report.ablation_tables import BINS, age_table, lookback_table, pit_table, rolling_table
from service.backtest.report.cells import NOMINALS, TextTable, comparison_title, step_name
from service.backtest.report.document import ComparisonFindings
from service.backtest.report.tables import coverage_by_step_table, coverage_table, leaderboard_table

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D1F")
"""Colours that most people can distinguish (Okabe & Ito); marks and dashes differ as well."""

_MARKS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "star", "hexagon")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_ZERO = {"dash": "dot", "color": "#555555", "width": 1}


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot with its alternatives.

    Attributes:
        title: Title of the plot.
        text: Text alternative: what is drawn and what it shows.
        figure: The Plotly figure.
        tables: Its figures as tables, the main one first.
    """

    title: str
    text: str
    figure: Any
    tables: tuple[TextTable, ...]


def build_plots(findings: ComparisonFindings) -> tuple[Plot, ...]:
    """Return the plots of a comparison set, without those that have no figures."""
    makers = [_coverage, _pit]
    if findings.comparison.reference is not None:
        makers.insert(0, _ratios)
    if findings.rolling:
        makers.append(_rolling)
    if findings.ages:
        makers.append(_ages)
    if findings.lookbacks:
        makers.append(_lookbacks)
    return tuple(make(findings) for make in makers)


def _ratios(findings: ComparisonFindings) -> Plot:
    lines = findings.leaderboard.lines
    labels = [line.entry.label for line in lines]
    ratios = [line.ratio[OVERALL] for line in lines]
    values = [ratio.value for ratio in ratios]
    reach = [0.0 if np.isnan(ratio.high) else ratio.high - ratio.value for ratio in ratios]
    points = go.Scatter(
        x=values, y=labels, mode="markers", error_x={"type": "data", "array": reach}, marker={"size": 10}
    )
    figure = _styled(go.Figure(points), "pinball / random walk", height=160 + 28 * len(lines))
    figure.add_vline(x=1, line=_ZERO)
    figure.update_yaxes(autorange="reversed")
    better = [line.entry.label for line, ratio in zip(lines, ratios, strict=True) if ratio.high < 1]
    worse = [line.entry.label for line, ratio in zip(lines, ratios, strict=True) if ratio.low > 1]
    text = (
        f"Pinball over the random walk's on the same rows, with 95 % intervals by day. Entirely below 1: "
        f"{_names(better)}. Entirely above 1: {_names(worse)}."
    )
    return Plot(
        f"{comparison_title(findings.comparison)}: pinball relative to the random walk",
        text,
        figure,
        (leaderboard_table(findings),),
    )


def _coverage(findings: ComparisonFindings) -> Plot:
    steps = findings.comparison.steps
    heads = [f"{step_name(step)}, {nominal} %" for nominal in NOMINALS for step in steps]
    figure = make_subplots(len(NOMINALS), len(steps), subplot_titles=heads, shared_xaxes=True, shared_yaxes="rows")
    worst, where = 0.0, ""
    positions = _positions(findings)
    for line in findings.leaderboard.lines:
        thirds = line.scores.coverage.by_step_and_tercile
        for row, nominal in enumerate(NOMINALS, 1):
            for column, step in enumerate(steps, 1):
                gaps = [100 * thirds[step][name][nominal].value - nominal for name in TERCILES]
                trace = _trace(positions[line.entry], line.entry.label, TERCILES, gaps, row == column == 1)
                figure.add_trace(trace, row, column)
                for name, gap in zip(TERCILES, gaps, strict=True):
                    if abs(gap) > abs(worst):
                        worst, where = gap, f"{line.entry.label}, {step_name(step)}, {name} third, {nominal} %"
    _styled(figure, "", height=720, level=0)
    figure.update_yaxes(title_text="difference in points", col=1)
    text = (
        "Measured minus nominal coverage in points, per interval, step and third of sigma, as served. "
        f"Largest difference {worst:+.1f} points: {where or 'none'}."
    )
    tables = (coverage_table(findings), coverage_by_step_table(findings))
    return Plot(f"{comparison_title(findings.comparison)}: coverage by step and tercile", text, figure, tables)


def _pit(findings: ComparisonFindings) -> Plot:
    figure, tails = go.Figure(), []
    positions = _positions(findings)
    for line in findings.leaderboard.lines:
        ratios = [share / nominal for share, nominal in zip(line.scores.pit, PIT_SHARES, strict=True)]
        colour = COLOURS[positions[line.entry] % len(COLOURS)]
        figure.add_trace(go.Bar(x=BINS, y=ratios, name=line.entry.label, marker_color=colour))
        tails.append(f"{line.entry.label} {100 * (line.scores.pit[0] + line.scores.pit[-1]):.1f} %")
    _styled(figure, "percent of the forecast distribution", "measured / nominal share", level=1)
    text = (
        "PIT histogram: the share of outcomes between neighbouring quantiles over its nominal share; 1 is "
        f"calibrated. Outside the 95 % interval, 5 % nominal: {', '.join(tails)}."
    )
    return Plot(f"{comparison_title(findings.comparison)}: PIT histogram", text, figure, (pit_table(findings),))


def _rolling(findings: ComparisonFindings) -> Plot:
    figure, parts = go.Figure(), []
    positions = _positions(findings)
    for series in findings.rolling:
        dates, skills = series.last.astype(str).tolist(), (100 * series.skill).tolist()
        figure.add_trace(_trace(positions[series.entry], series.entry.label, dates, skills, True, mode="lines"))
        parts.append(f"{series.entry.label} {100 * series.behind:.0f} %")
    _styled(figure, "last as_of session of the window", "skill %", level=0)
    text = (
        "Skill against the random walk over rolling windows of 60 sessions. Share of windows with negative skill: "
        f"{', '.join(parts) or 'no other forecaster'}."
    )
    return Plot(f"{comparison_title(findings.comparison)}: skill over time", text, figure, (rolling_table(findings),))


def _ages(findings: ComparisonFindings) -> Plot:
    figure, parts = go.Figure(), []
    positions = _positions(findings)
    for entry in dict.fromkeys(figure.entry for figure in findings.ages):
        own = [each for each in findings.ages if each.entry == entry]
        skills = [100 * each.skill for each in own]
        figure.add_trace(_trace(positions[entry], entry.label, [each.age for each in own], skills, True))
        parts.append(f"{entry.label} {skills[0]:+.2f} % to {skills[-1]:+.2f} %")
    _styled(figure, "sessions since the fit", "skill %", level=0)
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=[name for name, _ in AGES])
    text = f"Skill against the random walk by the age of the fit, youngest bucket to oldest: {', '.join(parts)}."
    return Plot(f"{comparison_title(findings.comparison)}: skill by model age", text, figure, (age_table(findings),))


def _lookbacks(findings: ComparisonFindings) -> Plot:
    figure, parts = go.Figure(), []
    families = dict.fromkeys((each.entry.forecaster, each.entry.strategy) for each in findings.lookbacks)
    for order, family in enumerate(families):
        own = [each for each in findings.lookbacks if (each.entry.forecaster, each.entry.strategy) == family]
        name, losses = " ".join(family), [each.pinball for each in own]
        figure.add_trace(_trace(order, name, [str(each.entry.lookback) for each in own], losses, True))
        parts.append(f"{name} {min(losses):.2f} to {max(losses):.2f} bp")
    _styled(figure, "lookback in sessions", "pinball bp")
    figure.update_xaxes(type="category")
    text = f"Pinball by lookback on the same rows; lowest to highest: {', '.join(parts)}."
    return Plot(f"{comparison_title(findings.comparison)}: lookbacks", text, figure, (lookback_table(findings),))


def _positions(findings: ComparisonFindings) -> dict[Entry, int]:
    """Return the position of each entry on the leaderboard, which gives it the same colour in all plots."""
    return {line.entry: position for position, line in enumerate(findings.leaderboard.lines)}


def _trace(
    order: int, name: str, x: Sequence[Any], y: Sequence[float], legend: bool, mode: str = "lines+markers"
) -> Any:
    line = {"color": COLOURS[order % len(COLOURS)], "dash": _DASHES[order % len(_DASHES)]}
    marker = {"symbol": _MARKS[order % len(_MARKS)], "size": 8}
    return go.Scatter(
        x=list(x), y=list(y), name=name, mode=mode, line=line, marker=marker, legendgroup=name, showlegend=legend
    )


def _styled(figure: Any, x_title: str, y_title: str = "", *, height: int = 420, level: float | None = None) -> Any:
    """Apply the common style and the axis titles, and draw a dotted line at `level`."""
    if level is not None:
        figure.add_hline(y=level, line=_ZERO)
    figure.update_layout(
        height=height,
        margin={"l": 60, "r": 20, "t": 40, "b": 50},
        template="plotly_white",
        font={"family": "system-ui, sans-serif", "size": 13},
        legend={"orientation": "h", "y": -0.2},
        xaxis_title=x_title or None,
        yaxis_title=y_title or None,
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    return figure


def _names(labels: Sequence[str]) -> str:
    return ", ".join(labels) if labels else "none"
