"""Reads the page in a test: traces, positions, and accessibility."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

DRAWN_MS = 30_000
"""Long, because test machines are busy."""

_PLOT = "const plot = document.querySelector('#chart .js-plotly-plot') ?? document.querySelector('#chart');"

_TRACES = f"""() => {{ {_PLOT}
  return plot._fullData.map((trace) => ({{role: trace.meta?.role, part: trace.meta?.part, x: Array.from(trace.x),
    y: Array.from(trace.y ?? trace.close), visible: trace.visible}})); }}"""

_FILL = f"""(role) => {{ {_PLOT}
  const trace = plot._fullData.find((each) => each.meta?.role === role);
  const box = plot.querySelector(`.trace${{trace.uid}} .js-fill`).getBoundingClientRect();
  return {{top: box.top, bottom: box.bottom, height: box.height, left: box.left, right: box.right}}; }}"""

_OUTSIDE = """() => {
  const width = document.documentElement.clientWidth;
  const shown = (node) => { const style = getComputedStyle(node); return style.visibility !== 'hidden'; };
  const inside = (node) => {
    for (let up = node.parentElement; up; up = up.parentElement)
      if (['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(up).overflowX)) return true;
    return false;
  };
  return [...document.body.querySelectorAll('*')].filter((node) => {
    const box = node.getBoundingClientRect();
    const isAway = box.right <= 0 || box.bottom <= 0; // off screen on purpose: the skip link, Plotly's text measurement
    return box.width > 1 && box.height > 1 && !isAway && shown(node) && !inside(node)
      && (box.right > width + 1 || box.left < -1);
  }).map((node) => `${node.tagName}#${node.id}.${node.className}`).slice(0, 10); }"""

_CLIPPED = """() => [...document.querySelectorAll('td, th, h1, h2, p, button, label, summary, .badge, .fact')]
  .filter((node) => {
    const style = getComputedStyle(node);
    return node.getClientRects().length && node.clientWidth > 1 && node.scrollWidth > node.clientWidth + 1
      && style.overflowX !== 'visible' && style.overflowX !== 'auto';
  }).map((node) => `${node.tagName}#${node.id}.${node.className}: ${node.textContent.slice(0, 40)}`).slice(0, 10)"""

WATCH_SHIFTS = """window.shifts = []; new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.shifts.push([entry.value, entry.hadRecentInput,
    entry.sources.map((source) => source.node?.id || source.node?.className || source.node?.nodeName).join(' ')]);
}).observe({type: 'layout-shift', buffered: true});"""


@dataclass(frozen=True)
class Trace:
    """One trace of Plotly after drawing."""

    role: str | None
    part: str | None
    x: list[Any]
    y: list[Any]


def drawn(page: Page, symbol: str, as_of: str = "") -> None:
    """Wait until a symbol's chart is drawn; benchmarks/speed/page.py measures how long that takes."""
    expect(page.locator(f'#chart[data-drawn^="{symbol}/{as_of}"]')).to_be_visible(timeout=DRAWN_MS)


def traces(page: Page) -> list[Trace]:
    """Return every trace of the main chart."""
    return [Trace(each["role"], each["part"], each["x"], each["y"]) for each in page.evaluate(_TRACES)]


def trace(page: Page, role: str, part: str | None = None) -> Trace:
    """Return the only trace of a role."""
    found = [each for each in traces(page) if each.role == role and (part is None or each.part == part)]
    assert len(found) == 1, f"{len(found)} traces have the role {role}"
    return found[0]


def fill_box(page: Page, role: str) -> dict[str, float]:
    """Return the box of a painted band, in pixels of the window."""
    box: dict[str, float] = page.evaluate(_FILL, role)
    return box


def above_the_fold(page: Page, selector: str) -> str:
    """Return the text of a part that is wholly on the first screen."""
    place = page.locator(selector)
    expect(place).to_be_visible()
    box, screen = place.bounding_box(), page.viewport_size
    assert box is not None
    assert screen is not None
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= screen["height"], f"{selector} ends at {box['y'] + box['height']}"
    return place.inner_text()


def violations(page: Page) -> list[str]:
    """Return the violations that axe-core finds, with their first elements."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {[node['target'] for node in each['nodes'][:3]]}" for each in found]


def assert_nothing_clips(page: Page) -> None:
    """Assert that nothing overflows the window and no text is cut off."""
    wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1], wide
    for found in (page.evaluate(_OUTSIDE), page.evaluate(_CLIPPED)):
        assert found == [], found


def shifted(page: Page) -> float:
    """Return the sum of the layout shifts since `WATCH_SHIFTS`, without those right after an input."""
    entries = page.evaluate("window.shifts")
    return sum(value for value, after_input, _ in entries if not after_input)


def picture(page: Page, folder: Path, name: str) -> None:
    """Save a picture of the whole page."""
    page.screenshot(path=folder / f"{name}.png", full_page=True, animations="disabled")
