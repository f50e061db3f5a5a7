"""The page formats numbers by the rules of service/charts/numbers.py: both pass tests/support/shown_numbers.py."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from service.dashboard.assets import Assets
from tests.support.dashboard.browser import Watched
from tests.support.dashboard.drawing import drawn
from tests.support.shown_numbers import CHANGES, PRICES, SHARES


def written(page: Page, call: str, cases: list[Any]) -> list[str]:
    """Return the texts of the page's own module."""
    address = Assets.packaged().address("format.js")
    script = f"async (cases) => {{ const format = await import('{address}'); return cases.map((one) => {call}); }}"
    answers: list[str] = page.evaluate(script, cases)
    return answers


def test_page_and_charts_format_prices_alike(watched: Watched) -> None:
    page = watched.go("/?s=AAA")
    expected = [text for *_, text in PRICES]
    cases = [[price, currency, group] for price, currency, group, _ in PRICES]
    assert written(page, "format.priceStyle(one[1], one[2], one[0]).bare(one[0])", cases) == expected


def test_page_and_charts_format_changes_and_shares_alike(watched: Watched) -> None:
    page = watched.go("/?s=AAA")
    assert written(page, "format.change(one)", [change for change, _ in CHANGES]) == [text for _, text in CHANGES]
    assert written(page, "format.percent(one)", [share for share, _ in SHARES]) == [text for _, text in SHARES]


@pytest.mark.parametrize(
    ("inside", "n", "words"),
    [
        # Exact binomial tails: 41 or fewer of 60 have 2.2 %, 55 or more 1.2 %; 43 or fewer 7.7 %, 53 or more 6.7 %.
        (41, 60, "less often than stated"),
        (43, 60, "about as often as stated"),
        (53, 60, "about as often as stated"),
        (55, 60, "more often than stated"),
        (186, 250, "less often than stated"),
        (212, 250, "about as often as stated"),
    ],
)
def test_coverage_differs_from_the_stated_one_only_beyond_chance(
    watched: Watched, inside: int, n: int, words: str
) -> None:
    page = watched.go("/?s=AAA")
    address = Assets.packaged().address("cards.js")
    script = f"async ([share, n]) => (await import('{address}')).coverageWords(share, n)"
    assert page.evaluate(script, [inside / n, n]) == words


@pytest.mark.parametrize("symbol", ["EURUSD=X", "7203.T", "SHEL.L", "AAA"])
def test_a_symbols_median_is_the_same_in_the_readout_and_the_table(watched: Watched, symbol: str) -> None:
    page = watched.go(f"/?s={symbol.replace('=', '%3D')}")
    drawn(page, symbol)
    readout = page.locator("#readout")
    expect(readout).to_have_text(re.compile("· T ·"))
    median = readout.inner_text().split(" · ")[2].split(" ")[0]
    expect(page.locator("#steps tbody tr").first.locator("td").nth(1).locator(".value")).to_have_text(median)
