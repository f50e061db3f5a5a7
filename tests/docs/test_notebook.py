"""The notebook of docs/ runs, cell by cell, in a process of its own against a served API, and draws what it says."""

import json
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

NOTEBOOK = ROOT / "docs" / "forecasts.ipynb"
ADDRESS = "http://127.0.0.1:8000"

RUNNER = """
import ast, json, sys
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
    newest, numbers, then, versus, skill = json.loads(done.stdout)
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


def test_a_symbol_without_a_forecast_ends_with_the_reason(served: str) -> None:
    done = run([cell.replace('"AAPL"', '"MSFT"') for cell in at(served)])
    assert done.returncode == 1
    assert done.stderr.strip().startswith("there is no forecast of MSFT yet")


def test_it_stores_no_outputs_and_explains_itself() -> None:
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (document["nbformat"], document["nbformat_minor"]) == (4, 5)
    code = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in document["cells"]}) == len(document["cells"])
    assert "Not investment advice." in "".join(cells("markdown"))
