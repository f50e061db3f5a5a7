"""The page writes numbers by the rules of service/charts/numbers.py: both are held to one table of cases."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from service.charts.numbers import change_text, decimals, price_text, share_text
from service.dashboard.assets import Assets
from tests.dashboard.browser import Watched
from tests.dashboard.drawing import drawn

PRICES = (
    (175.1, "USD", "equity", "175.10"),
    (698.125, "USD", "equity", "698.13"),
    (1234567.891, "USD", "equity", "1,234,567.89"),
    (-1.5, "USD", "equity", "−1.50"),
    (0.0, "USD", "equity", "0.00"),
    (0.5, "USD", "equity", "0.5000"),
    (6543.5, "JPY", "equity", "6,544"),
    (7.25, "JPY", "equity", "7.25"),
    (2512.5, "GBp", "equity", "2,512.50"),
    (1.234, "KWD", "equity", "1.23"),
    (71.2, None, "other", "71.20"),
    (64321.5, "USD", "crypto", "64,321.50"),
    (0.1234, "USD", "crypto", "0.1234"),
    (0.00001234, "USD", "crypto", "0.00001234"),
    (0.001, "USD", "crypto", "0.001000"),
    (0.98348, "CHF", "fx", "0.98348"),
    (1.08345, "USD", "fx", "1.08345"),
    (151.2345, "JPY", "fx", "151.234"),
    (0.000061234, "USD", "fx", "0.00006123"),
)
CHANGES = (
    (0.0051, "+0.5 %"),
    (-0.0051, "−0.5 %"),
    (0.0025, "+0.3 %"),
    (0.0004, "0.0 %"),
    (-0.0004, "0.0 %"),
    (0.0, "0.0 %"),
    (12.5, "+1,250.0 %"),
)
SHARES = ((66 / 80, "83 %"), (0.789, "79 %"), (0.0, "0 %"), (1.0, "100 %"))


def written(page: Page, call: str, cases: list[Any]) -> list[str]:
    """What the page's own module answers."""
    address = Assets.packaged().address("format.js")
    script = f"async (cases) => {{ const format = await import('{address}'); return cases.map((one) => {call}); }}"
    answers: list[str] = page.evaluate(script, cases)
    return answers


def test_a_price_is_written_alike_by_the_page_and_its_charts(watched: Watched) -> None:
    page = watched.go("/?s=AAA")
    expected = [text for *_, text in PRICES]
    assert [price_text(price, decimals(price, currency, group)) for price, currency, group, _ in PRICES] == expected
    cases = [[price, currency, group] for price, currency, group, _ in PRICES]
    assert written(page, "format.priceStyle(one[1], one[2], one[0]).bare(one[0])", cases) == expected


def test_a_change_and_a_share_are_written_alike_too(watched: Watched) -> None:
    page = watched.go("/?s=AAA")
    assert [change_text(change) for change, _ in CHANGES] == [text for _, text in CHANGES]
    assert written(page, "format.change(one)", [change for change, _ in CHANGES]) == [text for _, text in CHANGES]
    assert [share_text(share) for share, _ in SHARES] == [text for _, text in SHARES]
    assert written(page, "format.percent(one)", [share for share, _ in SHARES]) == [text for _, text in SHARES]


@pytest.mark.parametrize("symbol", ["EURUSD=X", "7203.T", "SHEL.L", "AAA"])
def test_a_symbols_median_is_the_same_in_the_readout_and_the_table(watched: Watched, symbol: str) -> None:
    page = watched.go(f"/?s={symbol.replace('=', '%3D')}")
    drawn(page, symbol)
    readout = page.locator("#readout")
    expect(readout).to_have_text(re.compile("· T ·"))
    median = readout.inner_text().split(" · ")[2].split(" ")[0]
    expect(page.locator("#steps tbody tr").first.locator("td").nth(1).locator(".value")).to_have_text(median)
