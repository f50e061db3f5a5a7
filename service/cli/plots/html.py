"""A figure as one HTML file with everything in it, which opens without a network."""

import json

from jinja2 import Environment, PackageLoader

from service.api.figures.schemas import FigureAnswer
from service.dashboard.assets import PlotlyFile

_TEMPLATES = Environment(
    loader=PackageLoader("service.cli.plots"), autoescape=True, trim_blocks=True, keep_trailing_newline=True
)


def page(answer: FigureAnswer) -> str:
    """The figure, its words and its table as one HTML document.

    Returns:
        A document that asks for nothing off its own file: script, style and figure stand in it.
    """
    return _TEMPLATES.get_template("plot.html").render(
        answer=answer,
        layout=answer.figure.layout,
        rows=[[_cell(cell) for cell in row] for row in answer.table.rows],
        plotly_script=PlotlyFile.installed().path.read_text(encoding="utf-8"),
        chart=_embedded(answer),
    )


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


def _cell(cell: str | float | None) -> str:
    return "" if cell is None else f"{cell:g}" if isinstance(cell, float) else cell
