"""Accessibility and layout of the page: keyboard, screen readers, narrow screens, layout shifts, security policy."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.dashboard.browser import NARROW, View, Watched
from tests.support.dashboard.drawing import WATCH_SHIFTS, assert_nothing_clips, drawn, picture, shifted, violations

LIGHT, DARK = View(), View(theme="dark")
_FOCUSED = "() => { const at = document.activeElement; return at.dataset.symbol || at.dataset.range || at.id; }"


TABS = {"forecast": "#steps", "record": "#accuracy", "models": "#models", "runs": "#runs"}
"""Tab -> its table."""


def ready(watched: Watched, symbol: str = "AAA", tab: str = "forecast") -> Page:
    """Open a page at a tab and wait until it is complete."""
    page = watched.go(f"/?s={symbol}&tab={tab}")
    drawn(page, symbol)
    complete(page, tab)
    return page


def complete(page: Page, tab: str) -> None:
    """Wait until a tab is complete."""
    expect(page.locator(f"{TABS[tab]} tbody tr")).not_to_have_count(0)
    if tab == "record":
        expect(page.locator("#versus[data-drawn]")).to_be_visible()
        expect(page.locator("#skill[data-drawn]")).to_be_visible()


@pytest.mark.parametrize("view", [LIGHT, DARK], ids=["light", "dark"])
def test_axe_finds_no_violation(watched: Watched, view: View, pictures: Path) -> None:
    page = ready(watched)
    for tab in TABS:
        page.locator(f"#tab-{tab}").click()
        complete(page, tab)
        page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
        assert violations(page) == []
        page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = false)")
        assert page.evaluate("document.documentElement.scrollHeight") < 2_400
        picture(page, pictures, f"page-{tab}-{view.theme}")


@pytest.mark.parametrize(
    "view",
    [View(NARROW), View(NARROW, "dark"), View((821, 1100)), View((1024, 768))],
    ids=["390", "dark", "821", "1024"],
)
def test_nothing_clips_on_a_narrow_screen(watched: Watched, view: View, pictures: Path) -> None:
    page = ready(watched)
    for tab in TABS:
        page.locator(f"#tab-{tab}").click()
        complete(page, tab)
        assert_nothing_clips(page)
        picture(page, pictures, f"page-{tab}-{view.size[0]}-{view.theme}")
    assert violations(page) == []


@pytest.mark.parametrize("view", [View(NARROW)])
def test_the_chart_is_above_the_watchlist_on_a_narrow_screen(watched: Watched) -> None:
    page = ready(watched)
    chart, watchlist = page.locator("#chart").bounding_box(), page.locator("#watchlist").bounding_box()
    assert chart is not None
    assert watchlist is not None
    assert chart["y"] < watchlist["y"]


@pytest.mark.parametrize("view", [View(NARROW)])
def test_a_symbol_chosen_below_the_chart_scrolls_to_its_title(watched: Watched) -> None:
    page = ready(watched)
    page.locator("#more").click()
    line = page.locator('#watchlist [data-symbol="GONE"]')
    line.scroll_into_view_if_needed()
    page.evaluate("document.querySelector('#more').scrollIntoView({block: 'end'})")
    expect(page.locator("#title")).not_to_be_in_viewport()
    line.click()
    drawn(page, "GONE")
    expect(page.locator("#title")).to_be_in_viewport()


@pytest.mark.parametrize("view", [View(NARROW)])
def test_a_narrow_page_is_short_and_opens_by_keyboard(watched: Watched) -> None:
    page = ready(watched, tab="record")
    title, cards = page.locator("#lead").bounding_box(), page.locator("#cards").bounding_box()
    assert title is not None
    assert cards is not None
    assert cards["y"] - (title["y"] + title["height"]) < 24, "no space is reserved without a notice"
    assert page.evaluate("document.documentElement.scrollHeight") < 4_400
    shown = page.locator("#accuracy tbody tr:not([data-heading]):visible")
    first = shown.count()
    opener = page.get_by_role("button", name="Show the rows of T+1")
    expect(opener).to_have_attribute("aria-expanded", "false")
    opener.focus()
    page.keyboard.press("Enter")
    hide = page.get_by_role("button", name="Hide the rows of T+1")
    expect(hide).to_be_focused()
    assert shown.count() > first
    page.keyboard.press("Space")
    expect(shown).to_have_count(first)
    page.locator("#tab-record").focus()
    page.keyboard.press("End")
    expect(page.locator("#tab-runs")).to_be_focused()
    runs = page.locator("#runs tbody tr:visible")
    expect(runs).to_have_count(4)
    page.locator("#runs-more").focus()
    page.keyboard.press("Enter")
    expect(runs).to_have_count(50)
    expect(page.locator("#runs-more")).to_have_text("Show fewer")
    assert violations(page) == []
    page.keyboard.press("Enter")
    expect(runs).to_have_count(4)


def test_a_wide_page_shows_every_step_and_eight_runs(watched: Watched) -> None:
    page = ready(watched, tab="record")
    rows = page.locator("#accuracy tbody tr")
    expect(page.locator("#accuracy tbody tr:visible")).to_have_count(rows.count())
    expect(page.locator("#accuracy button:visible")).to_have_count(0)
    page.locator("#tab-runs").click()
    expect(page.locator("#runs tbody tr:visible")).to_have_count(8)
    page.locator("#runs-more").click()
    expect(page.locator("#runs tbody tr:visible")).to_have_count(50)


def test_every_control_is_reachable_by_keyboard(watched: Watched) -> None:
    page = ready(watched)
    page.locator("body").click(position={"x": 2, "y": 2})
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(_FOCUSED))
    # The watchlist is one stop of the Tab key, as lists are; the arrow keys move inside it.
    assert {"theme", "search", "sort", "AAA", "earlier", "1m", "3m", "6m", "1y", "5y", "all", "chart"} <= reached
    assert "tab-forecast" in reached
    assert "tab-runs" not in reached  # tabs are one stop too
    page.locator('#watchlist [data-symbol="AAA"]').focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator('#watchlist [data-symbol="BBB"]')).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    drawn(page, "BBB")
    expect(page.get_by_role("heading", level=1)).to_contain_text("BBB")
    page.locator("#ranges [data-range='1m']").focus()
    page.keyboard.press("Space")
    expect(page.locator("#ranges [data-range='1m']")).to_have_attribute("aria-pressed", "true")
    page.locator("#chart-table summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#chart-table table")).to_be_visible()


def test_every_chart_has_a_text_alternative_and_a_table(watched: Watched) -> None:
    page = ready(watched, tab="record")
    for chart in ("chart", "versus", "skill"):
        image = page.locator(f"#{chart}")
        expect(image).to_have_attribute("role", "img")
        expect(image).to_have_attribute("aria-label", re.compile(r"\w+ \w+ \w+ \w+"))
        expect(image).not_to_have_attribute("aria-label", re.compile("not drawn"))
        if chart == "chart":
            page.locator("#tab-forecast").click()
        table = page.locator(f"#{chart}-table")
        table.locator("summary").click()
        expect(table.locator("tbody tr").first).to_be_visible()
        expect(page.locator(f"#{'' if chart == 'chart' else f'{chart}-'}caption")).not_to_be_empty()
        page.locator("#tab-record").click()


def test_nothing_moves_while_the_page_loads(watched: Watched) -> None:
    watched.page.add_init_script(WATCH_SHIFTS)
    page = ready(watched)
    page.wait_for_timeout(500)
    assert shifted(page) < 0.02, page.evaluate("window.shifts")


@pytest.mark.parametrize("view", [View(NARROW)])
def test_nothing_moves_while_a_narrow_page_loads(watched: Watched) -> None:
    watched.page.add_init_script(WATCH_SHIFTS)
    page = ready(watched)
    page.wait_for_timeout(500)
    assert shifted(page) < 0.02, page.evaluate("window.shifts")


def test_the_policy_blocks_inline_scripts(watched: Watched) -> None:
    answer = watched.page.request.get(watched.url + "/")
    policy = {part.split()[0]: part.split()[1:] for part in answer.headers["content-security-policy"].split(";")}
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == ["'self'"]
    assert policy["connect-src"] == ["'self'"]
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == ["'none'"]
    watched.expected.append("Content Security Policy")
    page = ready(watched)
    assert watched.failures == []  # Plotly needs nothing that the policy refuses
    ran = page.evaluate(
        "() => { const made = document.createElement('script'); made.textContent = 'window.broken = 1';"
        " document.body.append(made); return window.broken ?? 0; }"
    )
    assert ran == 0
    assert len(watched.failures) == 1


def test_a_losing_symbol_is_marked_worse_with_its_n(watched: Watched) -> None:
    page = ready(watched, "BBB", "record")
    table = page.locator("#accuracy")
    expect(table).to_contain_text("67")
    expect(page.locator("#notice")).to_have_attribute("data-notices", re.compile("losing"))
    # The fixture's accuracy row of T: skill -0.305 with p 0.0006, so it is significant.
    expect(page.locator("#steps")).to_contain_text("−30.5 %")
    expect(page.locator("#steps")).to_contain_text("worse")
    expect(page.locator("#verdict")).to_have_attribute("data-mark", "worse")
    expect(page.locator("#steps td[data-mark='worse']")).not_to_have_count(0)


def test_an_insignificant_skill_is_neither_better_nor_worse(watched: Watched) -> None:
    page = ready(watched, "BBB")
    items = page.request.get(f"{watched.url}/v1/accuracy?scope=BBB&limit=200").json()["items"]
    served = {(item["strategy"], item["step"]): item for item in items if item["forecaster"] == "served"}
    p = [served["multi_step", step]["p"] for step in (1, 2, 3)] + [served["one_step", 1]["p"]]
    assert any(each < 0.05 for each in p)
    assert any(each >= 0.05 for each in p)
    expect(page.locator("#steps tbody tr td:last-child .note").first).to_contain_text(re.compile("worse|significant"))
    notes = page.locator("#steps tbody tr td:last-child .note").all_inner_texts()
    assert [("worse" in note, "not significant" in note) for note in notes] == [(e < 0.05, e >= 0.05) for e in p]


def test_versus_marks_closes_outside(watched: Watched) -> None:
    page = ready(watched, tab="record")
    # 60 of the fixture's 67 scored sessions are drawn.
    expect(page.locator("#versus-caption")).to_contain_text("60")
    symbols = page.evaluate(
        "() => { const plot = document.querySelector('#versus .js-plotly-plot') ?? document.querySelector('#versus');"
        " return plot._fullData.flatMap((trace) => trace.marker?.symbol ?? []); }"
    )
    assert {"circle", "x"} <= {str(symbol).removesuffix("-open").removesuffix("-thin") for symbol in symbols}
