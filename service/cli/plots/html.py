"""Writes a figure as one self-contained HTML file."""

import json

from jinja2 import Environment, PackageLoader

from service.api.figures.schemas import FigureAnswer
from service.dashboard.assets import PlotlyFile

_TEMPLATES = Environment(
    loader=PackageLoader("service.cli.plots"), autoescape=True, trim_blocks=True, keep_trailing_newline=True
)


def page(answer: FigureAnswer) -> str:
    """Return the figure, its texts and its table as one HTML document.

    Returns:
        A document without external resources: script, style and figure are embedded.
    """
    return _TEMPLATES.get_template("plot.html").render(
        answer=answer,
        layout=answer.figure.layout,
        rows=[[_cell(cell) for cell in row] for row in answer.table.rows],
        plotly_script=PlotlyFile.installed().path.read_text(encoding="utf-8"),
        chart=_embedded(answer),
    )


def _embedded(answer: FigureAnswer) -> str:
    """Return the script's data, escaped so that no text can end its element."""
    document = answer.model_dump(mode="json", include={"figure", "readout"}) | {"start": _first_position(answer)}
    return json.dumps(document, allow_nan=False).replace("<", "\\u003c")


def _first_position(answer: FigureAnswer) -> float:
    """Return the initial position of the readout: T, else the newest."""
    if not answer.readout:
        return 0.0
    slots = answer.figure.layout.get("meta", {}).get("slots")
    return answer.readout[-1 if slots is None else min(slots, len(answer.readout) - 1)].x


def _cell(cell: str | float | None) -> str:
    return "" if cell is None else f"{cell:g}" if isinstance(cell, float) else cell
