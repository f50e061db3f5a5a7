"""Every state of the service has a notice that is legible in both themes and fits a narrow screen."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support.dashboard.browser import NARROW, View, look
from tests.support.dashboard.drawing import above_the_fold, assert_nothing_clips, drawn, violations
from tests.support.dashboard.page_databases import NOTICES
from tests.support.dashboard.server import Server

AUDITED = ("empty", "failed-run")
"""Notices that axe checks, light and wide, dark and narrow: with and without a forecast below."""

QUIET = {"empty": ["503"], "no-forecast": ["503"], "unknown-symbol": ["503", "404"], "training": ["404"]}
"""Statuses that a browser logs on its console for missing answers; nothing else may be there."""


@pytest.mark.parametrize("name", NOTICES)
def test_a_state_has_its_own_notice(
    name: str, browser_of_module: Browser, notice_servers: Callable[[str], Server], pictures: Path
) -> None:
    notice = NOTICES[name]
    address = f"/?s={notice.symbol}" if notice.symbol else "/"
    with look(browser_of_module, notice_servers(name).url) as watched:
        watched.expected += QUIET.get(name, [])
        page = watched.go(address)
        place = page.locator("#notice")
        expect(place).to_be_visible()
        expect(place).to_have_attribute("data-notices", re.compile(rf"\b{name}\b"))
        expect(place).to_have_text(re.compile(notice.words, re.IGNORECASE))
        expect(page.locator("footer")).to_contain_text("not investment advice")
        if notice.has_forecast:
            drawn(page, notice.symbol)
        page.screenshot(path=pictures / f"notice-{name}.png", animations="disabled")
        if name in AUDITED:
            assert violations(page) == []
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
        assert_nothing_clips(page)
        if notice.has_forecast:
            for card in ("forecast", "width", "trust", "maker", "next"):
                above_the_fold(page, f"#card-{card}")
        if name in AUDITED:
            assert violations(page) == []
        page.screenshot(path=pictures / f"notice-{name}-narrow-dark.png", animations="disabled")


def test_a_symbol_off_the_watchlist_is_unknown(
    browser_of_module: Browser, notice_servers: Callable[[str], Server]
) -> None:
    with look(browser_of_module, notice_servers("losing").url) as watched:
        watched.expected.append("404")
        page = watched.go("/?s=ZZZZ")
        expect(page.locator("#notice")).to_have_attribute("data-notice", "unknown-symbol")
        expect(page.locator("#notice")).to_contain_text("ZZZZ")
        page.locator('#watchlist [data-symbol="AAA"]').click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("AAA")
        expect(page.locator("#notice[data-notices~='unknown-symbol']")).to_have_count(0)


def test_a_training_shows_its_progress(browser_of_module: Browser, notice_servers: Callable[[str], Server]) -> None:
    with look(browser_of_module, notice_servers("training").url) as watched:
        page = watched.go("/?s=AAA")
        bar = page.get_by_role("progressbar", name="Training")
        expect(bar).to_have_attribute("value", "0.42")
        expect(page.locator("#notice")).to_contain_text("epoch 7")


@pytest.mark.parametrize("name", ["empty", "no-forecast"])
def test_a_page_without_a_chart_uses_its_preloaded_script(
    name: str, browser_of_module: Browser, notice_servers: Callable[[str], Server]
) -> None:
    with look(browser_of_module, notice_servers(name).url) as watched:
        watched.expected += QUIET[name]
        page = watched.go(f"/?s={NOTICES[name].symbol}")
        expect(page.locator("#notice")).to_be_visible()
        # A preloaded file that is not used causes a warning on the console.
        page.wait_for_function("() => Boolean(window.Plotly)")


def test_machine_time_is_distinguished_from_market_time(
    browser_of_module: Browser, notice_servers: Callable[[str], Server]
) -> None:
    with look(browser_of_module, notice_servers("source-down").url) as watched:
        page = watched.go("/?s=AAA")
        expect(page.locator("#market-time")).to_contain_text("market time 2018-06")
        expect(page.locator("#notice")).to_contain_text(
            re.compile(r"cannot be reached since \d{4}-\d\d-\d\d \d\d:\d\d UTC, machine time\.")
        )


def test_a_past_day_is_not_stale(browser_of_module: Browser, notice_servers: Callable[[str], Server]) -> None:
    with look(browser_of_module, notice_servers("stale").url) as watched:
        page = watched.go("/?s=AAA&as_of=2018-05-24")
        drawn(page, "AAA", "2018-05-24")
        expect(page.locator("#stale")).to_be_visible()
        expect(page.locator("#notice")).to_be_hidden()


def test_without_problems_there_is_no_notice(
    browser_of_module: Browser, notice_servers: Callable[[str], Server]
) -> None:
    with look(browser_of_module, notice_servers("losing").url, View()) as watched:
        page = watched.go("/?s=AAA")
        expect(page.locator('#chart[data-drawn^="AAA/"]')).to_be_visible()
        expect(page.locator("#notice")).to_be_hidden()
        expect(page.locator("#stale")).to_be_hidden()
