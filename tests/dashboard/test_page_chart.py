"""One symbol on the page, in a real browser: heading, address, steps, chart, caption, ranges, past days."""

import re
from datetime import date
from itertools import pairwise

import pytest
from playwright.sync_api import Page, expect

from tests.support.dashboard.browser import View, Watched
from tests.support.dashboard.drawing import drawn, fill_box, trace, traces
from tests.support.dashboard.page_databases import AS_OF, CLOSED_DAY

BANDS = ("band50", "band80", "band95")


def watch_button(page: Page, symbol: str) -> None:
    """Click a symbol in the watchlist."""
    page.locator(f'#watchlist [data-symbol="{symbol}"]').click()


def test_a_click_on_a_symbol_shows_its_heading_address_and_three_steps(watched: Watched) -> None:
    page = watched.go("/?s=BBB")
    drawn(page, "BBB")
    page.get_by_role("navigation", name="Watchlist").get_by_role("button", name=re.compile("AAA")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("AAA")
    expect(page.get_by_role("heading", level=1)).to_contain_text("AAA made up")
    expect(page).to_have_url(re.compile(r"[?&]s=AAA\b"))
    expect(page.locator('#watchlist [data-symbol="AAA"]')).to_have_attribute("aria-current", "true")
    expect(page.locator('#watchlist [data-symbol="BBB"]')).not_to_have_attribute("aria-current", "true")
    rows = page.locator("#steps tbody tr")
    for target in ("2018-06-07", "2018-06-08", "2018-06-11"):
        expect(rows.filter(has_text=target)).not_to_have_count(0)
    drawn(page, "AAA", str(AS_OF))
    assert page.evaluate("performance.getEntriesByName('redraw').length") >= 1


def test_without_an_address_the_first_symbol_is_shown(watched: Watched) -> None:
    page = watched.go("/")
    expect(page.locator("#chart[data-drawn]")).to_be_visible()
    assert page.evaluate("performance.getEntriesByName('numbers').length") == 1
    assert page.evaluate("performance.getEntriesByName('chart').length") == 1


def test_the_bands_are_nested_as_painted(watched: Watched) -> None:
    page = watched.go("/?s=AAA")
    drawn(page, "AAA")
    boxes = [fill_box(page, role) for role in BANDS]
    assert 0 < boxes[0]["height"] < boxes[1]["height"] < boxes[2]["height"]
    for inner, outer in pairwise(boxes):
        assert outer["top"] < inner["top"]
        assert outer["bottom"] > inner["bottom"]
    plot = page.locator(
        "#chart .plot, #chart .cartesianlayer .bglayer, #chart .draglayer .nsewdrag"
    ).last.bounding_box()
    assert plot is not None
    share = (plot["x"] + plot["width"] - boxes[2]["left"]) / plot["width"]
    assert 0.15 < share < 0.4, "the zone of the forecast has about a quarter of the width"


def test_one_step_and_random_walk_are_drawn(watched: Watched) -> None:
    page = watched.go("/?s=BBB")
    drawn(page, "BBB")
    roles = {each.role for each in traces(page)}
    assert {"candles", *BANDS, "median", "one_step", "random_walk", "as_of"} <= roles
    one_step, median, walk = trace(page, "one_step"), trace(page, "median"), trace(page, "random_walk", "median")
    assert len(one_step.y) == 1
    assert one_step.x[0] == median.x[1]  # on T
    assert walk.y != median.y
    assert page.locator("#chart .errorbar").count() >= 1


def test_a_closed_day_has_no_candle_and_no_space(watched: Watched) -> None:
    page = watched.go("/?s=AAA")
    drawn(page, "AAA")
    candles = trace(page, "candles")
    assert candles.x == list(range(len(candles.x)))
    lines = page.request.get(f"{watched.url}/v1/figures/AAA").json()["readout"]
    sessions = {line["x"]: date.fromisoformat(line["text"][:10]) for line in lines if line["x"] in candles.x}
    assert len(sessions) == len(candles.x)
    assert [day for day in sessions.values() if day.weekday() >= 5 or day == CLOSED_DAY] == []
    before = next(place for place, day in sessions.items() if day == date(2018, 5, 25))
    assert sessions[before + 1] == date(2018, 5, 29)


def test_the_range_buttons_choose_how_many_sessions_are_drawn(watched: Watched) -> None:
    page = watched.go("/?s=AAA")
    drawn(page, "AAA")
    group = page.get_by_role("group", name=re.compile("Range"))
    counts = []
    for name in ("1M", "3M", "1Y"):
        button = group.get_by_role("button", name=name)
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        before = counts[-1] if counts else 0
        page.wait_for_function(
            "(before) => { const plot = document.querySelector('#chart .js-plotly-plot') ?? "
            "document.querySelector('#chart'); return plot._fullData[0] && "
            "plot._fullData.find((t) => t.meta?.role === 'candles').x.length > before; }",
            arg=before if name != "1M" else 0,
        )
        expect(page.locator("#chart[data-drawn]")).to_be_visible()
        page.wait_for_timeout(150)
        counts.append(len(trace(page, "candles").x))
    assert 19 <= counts[0] <= 24
    assert 60 <= counts[1] <= 66
    assert 245 <= counts[2] <= 255
    expect(page).to_have_url(re.compile("range=1y"))


def test_the_caption_has_the_measured_coverage(watched: Watched) -> None:
    page = watched.go("/?s=AAA")
    drawn(page, "AAA")
    caption = page.locator("#caption")
    # The fixture's ledger: 51 of 67 closes are inside T's 80 % interval, 76.1 %.
    expect(caption).to_contain_text("contained the close on 76 % of sessions")
    expect(caption).to_contain_text("67")
    expect(caption).to_contain_text("80 %")


def test_the_readout_follows_the_pointer_and_covers_no_band(watched: Watched) -> None:
    page = watched.go("/?s=AAA")
    drawn(page, "AAA")
    readout = page.locator("#readout")
    expect(readout).not_to_be_empty()
    resting = readout.inner_text()
    box = page.locator("#chart").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.5)
    expect(readout).not_to_have_text(resting)
    assert page.locator("#chart .hoverlayer .hovertext").count() == 0
    edges = readout.bounding_box()
    assert edges is not None
    assert edges["y"] + edges["height"] <= box["y"] + 1


def test_a_past_day_shows_the_forecast_and_the_actual_closes(watched: Watched) -> None:
    page = watched.go("/?s=AAA&as_of=2018-05-24")
    drawn(page, "AAA", "2018-05-24")
    outcome = trace(page, "outcome")
    assert len(outcome.y) == 4  # as_of's close and three actual closes, over Memorial Day
    rows = page.locator("#steps tbody tr")
    for target in ("2018-05-25", "2018-05-29", "2018-05-30"):
        expect(rows.filter(has_text=target)).not_to_have_count(0)


def test_the_back_button_returns_to_earlier_views(watched: Watched) -> None:
    page = watched.go("/?s=AAA")
    drawn(page, "AAA")
    watch_button(page, "BBB")
    drawn(page, "BBB")
    page.get_by_role("group", name=re.compile("Range")).get_by_role("button", name="1M").click()
    expect(page).to_have_url(re.compile(r"s=BBB.*range=1m"))
    page.go_back()
    expect(page).to_have_url(re.compile(r"s=BBB$"))
    page.go_back()
    expect(page).to_have_url(re.compile(r"s=AAA$"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("AAA")
    drawn(page, "AAA")


@pytest.mark.parametrize(
    ("symbol", "pattern"),
    [
        ("7203.T", r"(JPY|¥)\s?\d{1,2},?\d{3}\b(?!\.)|\d{1,2},?\d{3}\s?(JPY|¥)"),
        ("SHEL.L", r"\d{1,2},?\d{3}(\.\d+)?\s?(GBp|GBX|pence|p)"),
        ("EURUSD=X", r"\b[01]\.\d{4,5} USD\b"),
    ],
)
def test_prices_are_in_the_symbols_currency(watched: Watched, symbol: str, pattern: str) -> None:
    page = watched.go(f"/?s={symbol.replace('=', '%3D')}")
    drawn(page, symbol)
    expect(page.locator("#readout")).to_have_text(re.compile(pattern))


def test_the_theme_is_stored(watched: Watched) -> None:
    page = watched.go("/?s=AAA")
    drawn(page, "AAA")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    button = page.locator("#theme")
    for _ in range(3):
        button.click()
        if page.evaluate("getComputedStyle(document.body).backgroundColor") != before:
            break
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != before
    page.reload()
    drawn(page, "AAA")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


@pytest.mark.parametrize("view", [View(theme="dark")])
def test_the_dark_theme_of_the_system_is_used(watched: Watched) -> None:
    page = watched.go("/?s=AAA")
    drawn(page, "AAA")
    red, green, blue = map(
        int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3]
    )
    assert max(red, green, blue) < 90
