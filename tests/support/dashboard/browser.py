"""The real browser of the page's tests: found, started with an empty profile, and checked for errors."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from tools.find_browser import find_browser, flags

VARIABLE = "TPLUS_BROWSER"
WIDE, NARROW = (1440, 1000), (390, 844)
# The browser finds no other machine. A route that aborts requests would do the same and turn its cache off.
ONLY_THIS_MACHINE = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"


def browser_path() -> str:
    """Return the path of this machine's browser; without one the test is skipped, and fails with CI=true."""
    path = find_browser(os.environ.get(VARIABLE, ""))
    if path is None:
        sentence = f"no Chromium found; install chromium, or set {VARIABLE} to the path of one"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    return path


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Open a browser with an empty profile; without one the test is skipped or fails, see `browser_path`."""
    path = browser_path()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*flags(), ONLY_THIS_MACHINE], headless=True)
        try:
            yield browser
        finally:
            browser.close()


@dataclass(frozen=True)
class View:
    """Window size and theme of a page."""

    size: tuple[int, int] = WIDE
    theme: Literal["light", "dark"] = "light"


@dataclass
class Watched:
    """A page of one server, and its errors.

    Attributes:
        page: The page; requests to other addresses are recorded in `elsewhere`, and the browser does not find them.
        url: The server's address.
        failures: Page errors and errors on the console, violations of the policy among them.
        elsewhere: Addresses off the server.
        expected: Parts of messages that the test expects.
    """

    page: Page
    url: str
    failures: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Start to record errors."""
        self.page.on("pageerror", lambda error: self.failures.append(f"page error: {error}"))
        self.page.on("console", self._hear)
        self.page.on("request", self._check_address)

    def go(self, address: str = "/") -> Page:
        """Open an address of the server."""
        self.page.goto(self.url + address)
        return self.page

    def assert_clean(self) -> None:
        """Assert that there was no unexpected error."""
        unexpected = [each for each in self.failures if not any(part in each for part in self.expected)]
        assert unexpected == [], unexpected
        assert self.elsewhere == [], self.elsewhere

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.failures.append(f"error on the console: {message.text} {message.location.get('url', '')}")

    def _check_address(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", "data:", "blob:")):
            self.elsewhere.append(request.url)


def shared_context(browser: Browser) -> BrowserContext:
    """Return the browser's one context: its pages share the cache, so Plotly is fetched and compiled once."""
    if browser.contexts:
        return browser.contexts[0]
    context = browser.new_context(locale="en-GB")
    context.set_default_timeout(15_000)
    return context


@contextmanager
def look(browser: Browser, url: str, view: View | None = None) -> Iterator[Watched]:
    """Open a page without stored data; at the end of the block it must be without unexpected errors."""
    seen = view or View()
    width, height = seen.size
    page = shared_context(browser).new_page()
    try:
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=seen.theme, reduced_motion="reduce")
        watched = Watched(page, url)
        watched.watch()
        yield watched
        watched.assert_clean()
    finally:
        if page.url.startswith("http"):
            page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        page.close()
        page.context.clear_cookies()
