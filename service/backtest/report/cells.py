"""Cells of the tables: the text of figures, steps and tests."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan

from models.backtest.analysis.comparison_set import ComparisonSet
from models.backtest.analysis.leaderboard import OVERALL
from models.metrics.significance import Comparison, Ratio

ABSENT = "-"
"""Cell without a figure."""

STEPS: Mapping[int, str] = {1: "T", 2: "T+1", 3: "T+2"}
"""Names of the steps."""

NOMINALS = (50, 80, 95)
"""Intervals in percent."""


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of text.

    Attributes:
        title: Title of the table.
        columns: Column headings.
        rows: Cells, one tuple per row, as long as `columns`.
        note: Explanation of the figures.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def step_name(step: int | str) -> str:
    """Return the name of a step: `T`, `T+1`, `T+2`, or `all` for all steps."""
    return "all" if step == OVERALL else STEPS.get(int(step), f"T+{int(step) - 1}")


def comparison_title(comparison: ComparisonSet) -> str:
    """Return the steps of a comparison set as a title."""
    names = ", ".join(step_name(step) for step in comparison.steps)
    return f"{names} only" if len(comparison.steps) == 1 else names


def number(value: float | None, digits: int) -> str:
    """Return a figure with a number of digits."""
    return ABSENT if value is None or isnan(value) else f"{value:.{digits}f}"


def signed(value: float) -> str:
    """Return a figure with its sign and two digits."""
    return ABSENT if isnan(value) else f"{value:+.2f}"


def percent(share: float) -> str:
    """Return a share in percent."""
    return number(100 * share, 1)


def percent_with_margin(ratio: Ratio) -> str:
    """Return a share in percent with the half width of its interval."""
    width = 50 * (ratio.high - ratio.low)
    return percent(ratio.value) + ("" if isnan(width) else f" ± {width:.1f}")


def interval(ratio: Ratio | None, digits: int) -> str:
    """Return a ratio with its interval."""
    if ratio is None or isnan(ratio.value):
        return ABSENT
    ends = "" if isnan(ratio.low) else f" [{ratio.low:.{digits}f}, {ratio.high:.{digits}f}]"
    return f"{ratio.value:.{digits}f}{ends}"


def p_value(p: float) -> str:
    """Return a p-value."""
    if isnan(p):
        return ABSENT
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def test_text(test: Comparison | None) -> str:
    """Return the statistic and p-value of a Diebold-Mariano test."""
    return ABSENT if test is None else f"{test.statistic:+.2f} (p {p_value(test.p)})"
