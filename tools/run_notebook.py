"""Run docs/forecasts.ipynb and store its outputs: the real service on the bundled sample, under replay.

    .venv/bin/python -m tools.run_notebook

The first run replays some weeks with their trainings, which takes some minutes. The database is kept in
`var/notebook`. Figures are stored as pictures, and as Plotly documents for an interactive view.
"""

import ast
import base64
import hashlib
import json
import pprint
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kaleido  # type: ignore[import-untyped]
import pandas as pd
import plotly.graph_objects as go

from benchmarks.speed.api import running
from service.cli.plots.image import find_browser
from tools.replay_sample import SampleReplay

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "forecasts.ipynb"
FOLDER = ROOT / "var" / "notebook"
START = "2012-11-14T22:30:00Z"
ADDRESS = "http://127.0.0.1:8000"
"""The address in the notebook; the cells are run with that of the server of this tool."""

UNTIL = datetime(2013, 2, 15, 22, 30, tzinfo=UTC)
"""Friday evening, two weeks before the sample ends: some 60 sessions are forecast and scored."""
ONE_TRAINING = 250
"""Sessions between two trainings: refits change little in the figures, and take time each."""

WIDTH, HEIGHT = 900, 560
PLOTLY = "application/vnd.plotly.v1+json"


def main() -> int:
    """Run the notebook; returns the exit status."""
    database = SampleReplay(FOLDER, START, UNTIL, train_every=ONE_TRAINING).run()
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    with running(database) as (client, _process, _seconds):
        run_cells(document["cells"], str(client.base_url).rstrip("/"))
    document["metadata"]["tplus"] = {"sources": sources_digest(document["cells"])}
    NOTEBOOK.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 0


def sources_digest(cells: Sequence[Mapping[str, Any]]) -> str:
    """Return a hash of the code cells: stored outputs belong to these sources."""
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()[:16]


def run_cells(cells: Sequence[dict[str, Any]], address: str) -> None:
    """Run the code cells in order and store the outputs in them.

    Args:
        cells: Cells of the notebook; changed in place.
        address: Of the server, which replaces `ADDRESS`.
    """
    names: dict[str, Any] = {"__name__": "notebook"}
    for count, cell in enumerate((each for each in cells if each["cell_type"] == "code"), 1):
        tree = ast.parse("".join(cell["source"]).replace(ADDRESS, address))
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"cell {count}", "exec"), names)
        cell["execution_count"], cell["outputs"] = count, []
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"cell {count}", "eval"), names)
            output = {"output_type": "execute_result", "execution_count": count, "metadata": {}, "data": shown(value)}
            cell["outputs"] = [output]


def shown(value: object) -> dict[str, Any]:
    """Return a value as Jupyter shows it, by media type."""
    if isinstance(value, go.Figure):
        figure = json.loads(value.to_json())
        figure["layout"].pop("template", None)  # Plotly's default, the same in every notebook
        return {PLOTLY: {**figure, "config": {"displaylogo": False}}, "image/png": _picture(figure)}
    if isinstance(value, pd.DataFrame):
        return {"text/html": value.to_html(border=0).splitlines(keepends=True), "text/plain": _lines(value.to_string())}
    return {"text/plain": _lines(pprint.pformat(value, width=79))}


def _picture(figure: Mapping[str, Any]) -> str:
    options = {"format": "png", "width": WIDTH, "height": HEIGHT, "scale": 1}
    chosen = {"path": find_browser(None), "mathjax": False, "timeout": 60, "enable_sandbox": False}
    return base64.b64encode(kaleido.calc_fig_sync(figure, options, kopts=chosen)).decode()


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


if __name__ == "__main__":
    sys.exit(main())
