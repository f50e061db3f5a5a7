"""Markup and formulas in names, error texts and model names: no effect on the page, nor in a spreadsheet."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import update

from service.db.migrate import upgrade
from service.db.session import Database
from service.db.tables import instruments, model_versions, runs
from tests.support.api.ledger_factory import fill
from tests.support.dashboard.browser import Watched, look
from tests.support.dashboard.server import Server, serving

MARKUP = '<img src=x onerror="window.hostile = 1"><script>window.hostile = 2</script>"><svg onload=window.hostile=3>'
FORMULAS = ('=HYPERLINK("http://evil.example")', "@SUM(1+1)", "+1+cmd|' /C calc'!A0", "-2+3")
RISKY = tuple("=+-@\t\r\n")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over a small ledger whose texts are markup."""
    folder: Path = tmp_path_factory.mktemp("hostile")
    database = Database(f"sqlite:///{folder / 'hostile.db'}")
    upgrade(database)
    fill(database)
    with database.transaction() as connection:
        connection.execute(update(instruments).values(name=MARKUP, state="failing", state_reason=MARKUP))
        connection.execute(update(runs).values(error=MARKUP, scope=MARKUP[:40], state="failed", counts={MARKUP: 1}))
        connection.execute(update(model_versions).values(forecaster=MARKUP[:40], reason=MARKUP))
    database.close()
    with serving(folder / "hostile.db") as server:
        yield server


@pytest.fixture
def page_of_hostile(browser_of_module: Browser, hostile: Server) -> Iterator[Watched]:
    with look(browser_of_module, hostile.url) as seen:
        yield seen


def test_markup_is_shown_as_text_in_every_tab(page_of_hostile: Watched) -> None:
    page_of_hostile.expected += ["404", "503"]
    page = page_of_hostile.go("/?s=AAPL")
    expect(page.get_by_role("heading", level=1)).to_contain_text("<img src=x onerror")
    expect(page.locator("#watchlist")).to_contain_text("<script>")
    for tab in ("record", "models", "runs"):
        page.locator(f"#tab-{tab}").click()
        table = page.locator({"record": "#accuracy", "models": "#models", "runs": "#runs"}[tab])
        expect(table.locator("tbody tr")).not_to_have_count(0)
        if tab != "record":
            expect(table).to_contain_text("<img src=x")
    page.wait_for_timeout(300)
    assert page.evaluate("window.hostile ?? null") is None
    assert page.evaluate("document.querySelectorAll('main img, nav img, main script, nav script').length") == 0


def test_no_cell_of_a_csv_is_a_formula(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'formulas.db'}")
    upgrade(database)
    fill(database)
    with database.transaction() as connection:
        for number, text in enumerate(FORMULAS, start=1):
            connection.execute(update(model_versions).where(model_versions.c.id == number).values(forecaster=text))
    database.close()
    with serving(tmp_path / "formulas.db") as server:
        seen = 0
        for path in ("/v1/forecasts", "/v1/forecasts/AAPL", "/v1/forecasts/AAPL/history", "/v1/prices/AAPL"):
            text = httpx.get(f"{server.url}{path}?format=csv", timeout=30).text
            for row in csv.reader(io.StringIO(text)):
                for cell in row:
                    if cell.startswith(RISKY):
                        float(cell)  # a negative number
                    seen += cell.startswith("'")
    assert seen >= 4
