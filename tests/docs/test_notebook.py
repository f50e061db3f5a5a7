"""The notebook of docs/ runs, cell by cell, in a process of its own against a served API, and draws what it says."""

import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.db.session import Database
from tests.support.api.ledger_factory import LSTM, add_score, fill
from tests.support.dashboard.server import serving
from tests.support.paths import ROOT
from tools.run_notebook import PLOTLY, sources_digest

NOTEBOOK = ROOT / "docs" / "forecasts.ipynb"
ADDRESS = "http://127.0.0.1:8000"

RUNNER = """
import ast, json, sys
import pandas as pd
import plotly.graph_objects as go

cells = json.loads(sys.stdin.read())
names, shown = {"__name__": "notebook"}, []
for number, source in enumerate(cells):
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, f"cell {number}", "exec"), names)
    if last is None:
        continue
    value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)
    if isinstance(value, go.Figure):
        roles = [trace.meta["role"] for trace in value.data]
        shown.append({"title": value.layout.title.text, "roles": roles, "paper": value.layout.paper_bgcolor,
                      "subtitle": value.layout.title.subtitle.text})
    elif isinstance(value, pd.DataFrame):
        shown.append({"columns": list(value.columns), "value": json.loads(value.to_json(orient="values"))})
    else:
        shown.append({"value": value})
print(json.dumps(shown))
"""


def cells(kind: str) -> list[str]:
    """The sources of the cells of a kind."""
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == kind]


def run(sources: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run cells in a fresh process, warnings being errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", RUNNER],
        input=json.dumps(sources),
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=False,
    )


@pytest.fixture(scope="module")
def served(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an API in a process of its own, over a filled database."""
    path = tmp_path_factory.mktemp("notebook") / "filled.db"
    shutil.copyfile(migrated_file, path)
    database = Database(f"sqlite:///{path}")
    fill(database)
    with database.transaction() as connection:
        add_score(connection, 1, LSTM, 1)
    database.close()
    with serving(path) as server:
        yield server.url


def at(address: str) -> list[str]:
    """The code cells with another address in the variable."""
    first, *others = cells("code")
    assert first.count(f'API = "{ADDRESS}"') == 1
    assert ADDRESS not in "".join(others)
    return [first.replace(ADDRESS, address), *others]


def test_the_cells_draw_the_figures_of_the_service(served: str) -> None:
    done = run(at(served))
    assert done.returncode == 0, done.stderr
    newest, numbers, then, versus, skill, table = json.loads(done.stdout)
    assert newest["title"] == "AAPL: forecast as of 2018-06-01"
    assert newest["roles"][:5] == ["volume", "candles", "past80", "hits", "misses"]
    assert "contained the close on 80 % of sessions" in newest["subtitle"]
    rows: list[list[Any]] = numbers["value"]
    assert [row[:3] for row in rows] == [
        ["T", "2018-06-04", 101.01], ["T+1", "2018-06-05", 102.02], ["T+2", "2018-06-06", 103.05],
    ]  # fmt: skip
    assert (then["title"], then["paper"]) == ("AAPL: forecast as of 2018-05-31", "#11161c")
    assert "outcome" in then["roles"]
    assert versus["roles"] == ["lower80", "band80", "median", "inside", "missed", "void"]
    assert skill["roles"].count("ratio") == 1
    assert max(len(line) for line in skill["subtitle"].split("<br>")) <= 110  # a longer one is cut at the edge
    assert skill["subtitle"].endswith("Measured on replay forecasts.")
    assert table["columns"][-2:] == ["actual_price", "inside_80"]
    # scored as +0.5 % up to 100, so on a close of 99.50: times e^-0.04, e^0.01, e^0.04
    assert table["value"] == [["2018-06-01", 99.0, 95.6, 100.5, 103.56, 100.0, True]]


def test_a_symbol_without_a_forecast_ends_with_the_reason(served: str) -> None:
    done = run([cell.replace('"AAPL"', '"MSFT"') for cell in at(served)])
    assert done.returncode == 1
    assert done.stderr.strip().startswith("there is no forecast of MSFT yet")


def test_it_explains_how_to_start_it() -> None:
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (document["nbformat"], document["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in document["cells"]}) == len(document["cells"])
    text = "".join(cells("markdown"))
    assert "Not investment advice." in text
    for command in (
        "make run",
        ".venv/bin/python -m pip install jupyterlab",
        ".venv/bin/jupyter lab docs/forecasts.ipynb",
    ):
        assert f"\n{command} " in text


def test_its_outputs_are_stored_and_belong_to_its_cells() -> None:
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    code = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    kinds = [set(output["data"]) for cell in code for output in cell["outputs"]]
    figure, text, table = {PLOTLY, "image/png"}, {"text/plain"}, {"text/html", "text/plain"}
    assert kinds == [figure, text, figure, figure, figure, table]
    assert document["metadata"]["tplus"]["sources"] == sources_digest(document["cells"]), (
        "the cells changed: run .venv/bin/python -m tools.run_notebook"
    )


def test_its_outputs_show_a_measured_record_and_nothing_of_the_machine() -> None:
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    outputs = [output for cell in document["cells"] for output in cell.get("outputs", ())]
    titles = [output["data"][PLOTLY]["layout"]["title"] for output in outputs if PLOTLY in output["data"]]
    assert [title["text"].split(":")[0] for title in titles] == ["AAPL"] * 4
    assert "of sessions (measured on n =" in titles[0]["subtitle"]["text"]
    table = "".join(outputs[-1]["data"]["text/plain"])
    assert re.findall(r"2013-02-\d\d", table)
    assert table.count("True") + table.count("False") == 5
    text = json.dumps([{**output["data"], "image/png": ""} for output in outputs])
    for part in (str(ROOT), str(Path.home()), "127.0.0.1", "localhost", "http://", "/tmp"):
        assert part not in text, part
    for output in outputs:
        if "image/png" in output["data"]:
            assert base64.b64decode(output["data"]["image/png"]).startswith(b"\x89PNG")
    assert NOTEBOOK.stat().st_size < 1_500_000
