"""A watchlist of 5,000 symbols: pages, search and sort."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from benchmarks.speed.page_ledger import Size, fill
from tests.support.dashboard.browser import Watched, look
from tests.support.dashboard.drawing import drawn
from tests.support.dashboard.server import Server, serving

MANY = Size(symbols=5_000, editions=1, bars=120, drawn=3)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over 5,000 symbols."""
    path: Path = tmp_path_factory.mktemp("many") / "many.db"
    fill(path, MANY)
    with serving(path) as server:
        yield server


@pytest.fixture
def crowd(browser_of_module: Browser, crowded: Server) -> Iterator[Watched]:
    """A page of that server."""
    with look(browser_of_module, crowded.url) as watched:
        yield watched


def test_the_first_page_is_loaded_and_more_on_demand(crowd: Watched) -> None:
    page = crowd.go("/")
    drawn(page, "S0000")
    lines = page.locator("#watchlist [data-symbol]")
    expect(lines).to_have_count(50)
    expect(page.locator("#count")).to_contain_text(re.compile("50 of 5,?000"))
    page.locator("#more").click()
    expect(lines).to_have_count(100)
    expect(lines.nth(99)).to_have_attribute("data-symbol", "S0099")
    assert lines.evaluate_all("(all) => new Set(all.map((each) => each.dataset.symbol)).size") == 100


def test_one_of_5000_symbols_is_found_by_search(crowd: Watched) -> None:
    page = crowd.go("/")
    drawn(page, "S0000")
    page.get_by_role("searchbox", name="Search").press_sequentially("company s4321")
    lines = page.locator("#watchlist [data-symbol]")
    expect(lines).to_have_count(1)
    expect(lines.first).to_have_attribute("data-symbol", "S4321")
    expect(page.locator("#more")).to_be_hidden()
    page.get_by_role("searchbox", name="Search").fill("no such symbol")
    expect(lines).to_have_count(0)
    expect(page.locator("#count")).to_contain_text("No symbol matches")
    page.get_by_role("searchbox", name="Search").fill("")
    expect(lines).to_have_count(50)


def test_the_order_can_be_chosen(crowd: Watched) -> None:
    page = crowd.go("/")
    drawn(page, "S0000")
    page.get_by_role("combobox", name="Sort").select_option("last_close.desc")
    first = page.locator("#watchlist [data-symbol]").first
    expect(first).not_to_have_attribute("data-symbol", "S0000")
    answer = page.request.get(f"{crowd.url}/v1/watchlist?sort=last_close&order=desc&limit=1").json()
    expect(first).to_have_attribute("data-symbol", answer["items"][0]["symbol"])
