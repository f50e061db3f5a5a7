"""The page: one HTML file with everything in it, which opens without a network."""

from collections.abc import Iterator, Sequence
from html import escape

from plotly.io import to_html
from plotly.offline import get_plotlyjs

from service.backtest.report.ablation_tables import copies_table, disagreement_table, missing_table, seed_table
from service.backtest.report.cells import TextTable, comparison_title
from service.backtest.report.document import ComparisonFindings, Report
from service.backtest.report.figures import Plot, plots_of
from service.backtest.report.tables import direction_table, losses_table, tests_table

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0 auto; max-width: 75rem;
  padding: 1rem; }
h1, h2, h3 { line-height: 1.2; }
figure { margin: 1.5rem 0; }
figcaption, .note { color: #444; max-width: 60rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 0.3rem 0; }
th, td { padding: 0.2rem 0.6rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th[scope=row], thead th:first-child { text-align: left; }
summary { cursor: pointer; }
"""


def page(report: Report) -> str:
    """The whole report as one HTML document.

    Args:
        report: See `document.make_report`.

    Returns:
        A document that asks for nothing off its own file: scripts, style and figures stand in it.
    """
    sections = "\n".join(_comparison(number, findings) for number, findings in enumerate(report.comparison_sets, 1))
    more = "\n".join(_table(table) for table in (disagreement_table(report), seed_table(report)) if table.rows)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tplus: backtest report</title>
<style>{_STYLE}</style>
<script>{get_plotlyjs()}</script>
</head>
<body>
<main>
<h1>Backtest report</h1>
<p>{escape(summary(report))}</p>
{_list(report.notes)}
{sections}
{more}
</main>
<footer><p class="note">Not investment advice.</p></footer>
</body>
</html>
"""


def summary(report: Report) -> str:
    """What was read, in a sentence."""
    count = len(report.symbols)
    return (
        f"{report.rows} forecasts of {count} symbol{'' if count == 1 else 's'} with as_of from {report.first} to "
        f"{report.last}, both included, from {', '.join(report.files)}."
    )


def _comparison(number: int, findings: ComparisonFindings) -> str:
    plots = "\n".join(_plot(f"plot-{number}-{place}", plot) for place, plot in enumerate(plots_of(findings), 1))
    tables = "\n".join(_table(table) for table in _plain_tables(findings))
    return f"""<section>
<h2>{escape(comparison_title(findings.comparison))}</h2>
{_list(findings.notes)}
{plots}
{tables}
</section>"""


def _plain_tables(findings: ComparisonFindings) -> Iterator[TextTable]:
    """Tables that belong to no plot."""
    for make in (losses_table, tests_table, direction_table, copies_table, missing_table):
        table = make(findings)
        if table.rows:
            yield table


def _plot(identity: str, plot: Plot) -> str:
    drawn = to_html(
        plot.figure,
        full_html=False,
        include_plotlyjs=False,
        div_id=identity,
        config={"displaylogo": False, "responsive": True},
    )
    first, *others = plot.tables
    hidden = "\n".join(_table(table) for table in others)
    more = f"<details><summary>More of it in figures</summary>{hidden}</details>" if others else ""
    return f"""<figure aria-labelledby="{identity}-text">
<h3>{escape(plot.title)}</h3>
<div role="img" aria-labelledby="{identity}-text">{drawn}</div>
<figcaption id="{identity}-text">{escape(plot.text)}</figcaption>
{_table(first)}
{more}
</figure>"""


def _table(table: TextTable) -> str:
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in table.columns)
    rows = "\n".join(_row(row) for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return f"""<div class="wide" tabindex="0"><table>
<caption>{escape(table.title)}</caption>
<thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody>
</table></div>
{note}"""


def _row(cells: Sequence[str]) -> str:
    first, *others = cells
    return f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in others)}</tr>'


def _list(sentences: Sequence[str]) -> str:
    if not sentences:
        return ""
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"
