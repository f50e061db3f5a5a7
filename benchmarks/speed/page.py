"""Seconds until the page shows its numbers and its first chart, and until another symbol is drawn, in a real browser.

A filled database is served over loopback by the API process and opened with a new Chromium: cold = a profile
that never opened the page, warm = a profile that opened it twice (a browser keeps the compiled script from the second
visit on). Times are the page's own marks, from the start of the navigation; the median of several visits. Run
from the repository root:

    python -m benchmarks.speed.page

Prints `name value unit bar` lines, and exits with 1 if a bar is missed. TPLUS_BROWSER names the browser.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from benchmarks.speed.api import running, say
from benchmarks.speed.page_ledger import Size, fill, names
from tools.find_browser import find_browser, flags

LOOKS = 5
SETTLE = 1.5
"""Seconds for a browser to store a compiled script."""
REDRAWS = 12
FEW, MANY = Size(), Size(symbols=5_000, editions=1, bars=400, drawn=50)
NUMBERS, COLD, WARM, REDRAW, NUMBERS_OF_MANY, SEARCH = 0.5, 2.0, 0.7, 0.15, 2.0, 0.5
_MARK = "(name) => performance.getEntriesByName(name)[0]?.startTime ?? null"
_REDRAW = "() => performance.getEntriesByName('redraw', 'measure').map((each) => each.duration)"


def program() -> str:
    """Return the path of the browser."""
    path = find_browser(os.environ.get("TPLUS_BROWSER", ""))
    if path is None:
        raise SystemExit("no Chromium here; install chromium, or set TPLUS_BROWSER to the path of one")
    return path


@contextmanager
def opened() -> Iterator[Browser]:
    """Yield a new browser."""
    path = program()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags())
        yield browser
        browser.close()


@contextmanager
def profile() -> Iterator[BrowserContext]:
    """Yield a new browser with its profile on disk, as for a user: private windows keep no compiled scripts."""
    path = program()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(folder, executable_path=path, args=flags())
        yield context
        context.close()


def seconds(page: Page, mark: str) -> float:
    """Return the time of a mark, in seconds from the start of the navigation."""
    page.wait_for_function("(name) => performance.getEntriesByName(name).length > 0", arg=mark)
    return float(page.evaluate(_MARK, mark)) / 1000


def visit(context: BrowserContext, url: str) -> tuple[float, float]:
    """Return the seconds to the numbers and to the first chart, in a new page."""
    page = context.new_page()
    page.goto(url)
    found = seconds(page, "numbers"), seconds(page, "chart")
    page.close()
    return found


def cold_visits(url: str) -> list[tuple[float, float]]:
    """Return the times of browsers that never opened the page."""
    found = []
    for _ in range(LOOKS):
        with opened() as browser, browser.new_context() as context:
            found.append(visit(context, url))
    return found


def warm_visits(url: str) -> list[tuple[float, float]]:
    """Return the times of one browser that has opened the page before."""
    with profile() as context:
        for _ in range(2):
            visit(context, url)
            time.sleep(SETTLE)
        return [visit(context, url) for _ in range(LOOKS)]


def redraws(page: Page, url: str, symbols: tuple[str, ...]) -> list[float]:
    """Return the seconds from a click on a symbol to its chart, one after another."""
    page.goto(url)
    seconds(page, "chart")
    for symbol in symbols:
        page.locator(f'#watchlist [data-symbol="{symbol}"]').click()
        expect(page.locator(f'#chart[data-drawn^="{symbol}/"]')).to_be_visible()
        page.wait_for_timeout(600)
    return [float(took) / 1000 for took in page.evaluate(_REDRAW)]


def search(page: Page, wanted: str) -> float:
    """Return the seconds from the last key of a search to the single remaining line."""
    return float(page.evaluate(
        """async (wanted) => {
             const place = document.querySelector('#search');
             const begun = performance.now();
             place.value = wanted;
             place.dispatchEvent(new Event('input', {bubbles: true}));
             for (;;) {
               const found = [...document.querySelectorAll('#watchlist [data-symbol]')];
               if (found.length === 1 && found[0].dataset.symbol === wanted) return (performance.now() - begun) / 1000;
               await new Promise((resolve) => setTimeout(resolve, 5));
             } }""",
        wanted,
    ))  # fmt: skip


def first_visits(url: str) -> list[bool]:
    """Measure a page of 50 symbols."""
    cold, warm = cold_visits(url), warm_visits(url)
    kept = [
        say("page_numbers", statistics.median(numbers for numbers, _ in cold), "s", NUMBERS),
        say("page_first_chart_cold", statistics.median(chart for _, chart in cold), "s", COLD),
        say("page_first_chart_warm", statistics.median(chart for _, chart in warm), "s", WARM),
    ]
    with opened() as browser:
        took = redraws(browser.new_page(), url, names(FEW)[1 : REDRAWS + 1])
    kept.append(say("page_redraw", statistics.median(took), "s", REDRAW))
    say("page_redraw_slowest", max(took), "s", None)
    return kept


def many(url: str) -> list[bool]:
    """Measure a page of 5,000 symbols."""
    with opened() as browser, browser.new_context() as context:
        cold = visit(context, url)
        page = context.new_page()
        page.goto(url)
        seconds(page, "chart")
        return [
            say("page_numbers_of_5000", cold[0], "s", NUMBERS_OF_MANY),
            say("page_search_of_5000", search(page, "S4321"), "s", SEARCH),
        ]


def main() -> int:
    """Measure everything."""
    kept = []
    with tempfile.TemporaryDirectory() as folder:
        for name, size, figures in (("few", FEW, first_visits), ("many", MANY, many)):
            path = Path(folder) / f"{name}.db"
            fill(path, size)
            with running(path) as (client, _process, _seconds):
                kept += figures(str(client.base_url).rstrip("/") + "/")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
