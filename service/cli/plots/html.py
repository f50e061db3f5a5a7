"""A figure as one HTML file with everything in it, which opens without a network."""

import json
from collections.abc import Sequence
from html import escape

from service.api.figures.schemas import FigureAnswer, FigureTable
from service.dashboard.assets import PlotlyFile

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 1rem; }
h1 { font-size: 1.3rem; line-height: 1.2; margin: 0 0 .3rem; }
#figure { height: min(70vh, 36rem); min-height: 20rem; }
#readout { min-height: 3em; margin: .3rem 0; font-size: .9rem; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid; text-align: right; white-space: nowrap; }
summary { cursor: pointer; }
"""

_SCRIPT = """
const chart = JSON.parse(document.getElementById("chart").textContent);
const place = document.getElementById("figure"), readout = document.getElementById("readout");
const say = (x) => {
  const near = chart.readout.reduce((a, b) => (Math.abs(b.x - x) < Math.abs(a.x - x) ? b : a));
  readout.textContent = near.text;
};
Plotly.newPlot(place, chart.figure.data, chart.figure.layout, chart.figure.config).then(() => {
  if (chart.readout.length) {
    say(chart.start);
    place.on("plotly_hover", (event) => say(event.points[0].x));
  }
  document.body.dataset.drawn = "true";
});
"""


def page(answer: FigureAnswer) -> str:
    """The figure, its words and its table as one HTML document.

    Returns:
        A document that asks for nothing off its own file: script, style and figure stand in it.
    """
    layout = answer.figure.layout
    paper, text = escape(layout["paper_bgcolor"]), escape(layout["font"]["color"])
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(answer.title)}</title>
<style>{_STYLE}body {{ background: {paper}; color: {text}; }}</style>
<script>{PlotlyFile.installed().path.read_text(encoding="utf-8")}</script>
</head>
<body>
<main>
<h1>{escape(answer.title)}</h1>
<p id="readout"></p>
<div id="figure" role="img" aria-label="{escape(answer.alt)}"></div>
<p id="caption">{escape(answer.caption)}</p>
<details><summary>As a table</summary>{_table(answer.table)}</details>
</main>
<footer><p>Edition {answer.edition}. Not investment advice.</p></footer>
<script type="application/json" id="chart">{_embedded(answer)}</script>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _embedded(answer: FigureAnswer) -> str:
    """What the script draws, so written that no text in it can end the element it stands in."""
    document = answer.model_dump(mode="json", include={"figure", "readout"}) | {"start": _first_said(answer)}
    return json.dumps(document, allow_nan=False).replace("<", "\\u003c")


def _first_said(answer: FigureAnswer) -> float:
    """The place that the readout tells of before anybody points at one: T, else the newest."""
    if not answer.readout:
        return 0.0
    slots = answer.figure.layout.get("meta", {}).get("slots")
    return answer.readout[-1 if slots is None else min(slots, len(answer.readout) - 1)].x


def _table(table: FigureTable) -> str:
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in table.columns)
    rows = "\n".join(_row(row) for row in table.rows)
    return f"""<div class="wide" tabindex="0"><table>
<caption>{escape(table.caption)}</caption>
<thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody>
</table></div>"""


def _row(cells: Sequence[str | float | None]) -> str:
    first, *others = ("" if cell is None else f"{cell:g}" if isinstance(cell, float) else cell for cell in cells)
    return f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in others)}</tr>'
