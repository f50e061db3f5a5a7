"""The open page shows changes by other processes, and a lost connection."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support.dashboard.browser import Watched, look
from tests.support.dashboard.drawing import WATCH_SHIFTS, drawn, shifted
from tests.support.dashboard.page_databases import AS_OF, FILE, NEXT, publish_next
from tests.support.dashboard.server import Server, serving

LIVE_MS = 3_000
"""Time in which a new edition must be on the page."""


@pytest.fixture
def own_server(own_market: Path) -> Iterator[Server]:
    """A server over this test's own database."""
    with serving(own_market / FILE) as server:
        yield server


@pytest.fixture
def own_page(browser_of_module: Browser, own_server: Server) -> Iterator[Watched]:
    """A page of that server."""
    with look(browser_of_module, own_server.url) as watched:
        watched.page.add_init_script(WATCH_SHIFTS)
        yield watched


def test_an_edition_of_another_process_appears_on_the_page(own_page: Watched, own_market: Path) -> None:
    page = own_page.go("/?s=AAA")
    drawn(page, "AAA", str(AS_OF))
    expect(page.locator("#connection")).to_contain_text("live")
    page.evaluate("window.sameDocument = true")
    chosen = page.get_by_role("group", name=re.compile("Range")).get_by_role("button", name="3M")
    chosen.focus()
    page.evaluate("window.scrollTo(0, 300)")
    before = page.evaluate("[window.scrollY, window.shifts.length]")
    assert publish_next(own_market) >= 1
    expect(page.locator("#data-as-of")).to_contain_text(str(NEXT), timeout=LIVE_MS)
    expect(page.locator(f'#chart[data-drawn^="AAA/{NEXT}"]')).to_be_visible(timeout=LIVE_MS)
    expect(page.locator("#steps tbody tr").filter(has_text="2018-06-12")).not_to_have_count(0)
    assert page.evaluate("window.sameDocument") is True
    expect(chosen).to_be_focused()
    assert page.evaluate("window.scrollY") == before[0]
    assert shifted(page) < 0.02, page.evaluate("window.shifts")


def test_a_past_day_stays_when_editions_are_published(own_page: Watched, own_market: Path) -> None:
    page = own_page.go("/?s=AAA&as_of=2018-05-24")
    drawn(page, "AAA", "2018-05-24")
    expect(page.locator("#connection")).to_contain_text("live")
    publish_next(own_market)
    expect(page.locator("#edition")).to_contain_text("XNYS", timeout=LIVE_MS)
    expect(page.locator("#data-as-of")).to_contain_text(str(NEXT), timeout=LIVE_MS)
    drawn(page, "AAA", "2018-05-24")
    expect(page).to_have_url(re.compile("as_of=2018-05-24"))


def test_a_lost_connection_is_shown_and_retried(own_page: Watched, own_server: Server, own_market: Path) -> None:
    own_page.expected += ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE"]
    page = own_page.go("/?s=AAA")
    drawn(page, "AAA")
    place = page.locator("#connection")
    expect(place).to_contain_text("live")
    own_server.stop()
    expect(place).to_contain_text(re.compile("lost.*retrying"), timeout=5_000)
    expect(page.get_by_role("heading", level=1)).to_contain_text("AAA")
    publish_next(own_market)
    own_server.start()
    expect(place).to_contain_text("live", timeout=15_000)
    expect(page.locator("#data-as-of")).to_contain_text(str(NEXT), timeout=LIVE_MS)
    drawn(page, "AAA", str(NEXT))


def test_the_server_stops_while_a_page_is_connected(own_page: Watched, own_server: Server) -> None:
    own_page.expected += ["ERR_"]
    page = own_page.go("/?s=AAA")
    expect(page.locator("#connection")).to_contain_text("live")
    assert own_server.stop() in (0, -15, 143)
