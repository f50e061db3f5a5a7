"""The page: one self-contained HTML file that opens without a network."""

from collections.abc import Iterator
from typing import Any

from jinja2 import Environment, PackageLoader
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from service.backtest.report.ablation_tables import copies_table, disagreement_table, missing_table, seed_table
from service.backtest.report.cells import TextTable, comparison_title
from service.backtest.report.document import ComparisonFindings, Report
from service.backtest.report.figures import Plot, build_plots
from service.backtest.report.tables import direction_table, losses_table, tests_table

_TEMPLATES = Environment(
    loader=PackageLoader("service.backtest.report"), autoescape=True, trim_blocks=True, keep_trailing_newline=True
)


def page(report: Report) -> str:
    """Return the report as one HTML document.

    Args:
        report: See `document.make_report`.

    Returns:
        A document that loads no other file: scripts, style and figures are embedded.
    """
    tables = [table for table in (disagreement_table(report), seed_table(report)) if table.rows]
    return _TEMPLATES.get_template("report.html").render(
        plotly_script=get_plotlyjs(),
        summary=summary(report),
        notes=report.notes,
        sections=[_section(number, findings) for number, findings in enumerate(report.comparison_sets, 1)],
        tables=tables,
    )


def summary(report: Report) -> str:
    """Return a sentence on the rows that were read."""
    count = len(report.symbols)
    return (
        f"{report.rows} forecasts of {count} symbol{'' if count == 1 else 's'} with as_of from {report.first} to "
        f"{report.last}, both included, from {', '.join(report.files)}."
    )


def _section(number: int, findings: ComparisonFindings) -> dict[str, Any]:
    """Return the template data of one comparison set; `number` counts from 1 and makes ids unique."""
    return {
        "title": comparison_title(findings.comparison),
        "notes": findings.notes,
        "plots": [_plot(f"plot-{number}-{position}", plot) for position, plot in enumerate(build_plots(findings), 1)],
        "tables": list(_plain_tables(findings)),
    }


def _plain_tables(findings: ComparisonFindings) -> Iterator[TextTable]:
    """Yield the tables that belong to no plot."""
    for make in (losses_table, tests_table, direction_table, copies_table, missing_table):
        table = make(findings)
        if table.rows:
            yield table


def _plot(identity: str, plot: Plot) -> dict[str, Any]:
    """Return the template data of one plot; `drawing` is markup made by Plotly."""
    drawing = to_html(
        plot.figure,
        full_html=False,
        include_plotlyjs=False,
        div_id=identity,
        config={"displaylogo": False, "responsive": True},
    )
    return {"identity": identity, "title": plot.title, "text": plot.text, "tables": plot.tables, "drawing": drawing}
