"""Times on the page: in the visitor's zone with the exchange's beside them, ages, and countdowns."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from service.dashboard.assets import Assets
from tests.support.dashboard.browser import WIDE, Watched
from tests.support.dashboard.drawing import drawn
from tests.support.dashboard.server import Server


def written(page: Page, call: str) -> str:
    """Return a text of the page's own module."""
    address = Assets.packaged().address("format.js")
    made: str = page.evaluate(f"async () => {{ const format = await import('{address}'); return format.{call}; }}")
    return made


@pytest.mark.parametrize(
    ("zone", "header", "due"),
    [
        ("Europe/Berlin", "2018-06-07 02:00 CEST (2018-06-06 20:00 New York)",
         "2018-06-07 23:30 CEST (17:30 New York)"),
        ("America/New_York", "2018-06-06 20:00 GMT-4", "2018-06-07 17:30 GMT-4"),
        ("Asia/Tokyo", "2018-06-07 09:00 GMT+9 (2018-06-06 20:00 New York)",
         "2018-06-08 06:30 GMT+9 (2018-06-07 17:30 New York)"),
    ],
)  # fmt: skip
def test_times_are_the_visitors_with_the_exchanges_beside_them(
    browser_of_module: Browser, market: Server, zone: str, header: str, due: str
) -> None:
    with browser_of_module.new_context(timezone_id=zone, viewport={"width": WIDE[0], "height": WIDE[1]}) as context:
        page = context.new_page()
        page.goto(f"{market.url}/?s=AAA")
        drawn(page, "AAA")
        expect(page.locator("#market-time")).to_have_text(f"market time {header}")
        expect(page.locator("#card-next dd").last).to_have_text(due)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("countdown(45.4)", "45 s"),
        ("countdown(185)", "3 min 05 s"),
        ("countdown(7800)", "2 h 10 min"),
        ("countdown(273600)", "3 d 4 h"),
        ("countdown(-5)", "0 s"),
        ("age('2018-06-01T00:00:00Z', '2018-06-02T00:00:00Z')", "1 day"),
        ("age('2018-06-01T00:00:00Z', '2018-06-30T00:00:00Z')", "4 weeks"),
        ("age('2018-01-02T00:00:00Z', '2018-06-07T00:00:00Z')", "5 months"),
        ("age('2010-01-02T00:00:00Z', '2018-06-07T00:00:00Z')", "8 years"),
        ("word('conv_lstm')", "conv LSTM"),
    ],
)
def test_durations_are_in_fitting_units(watched: Watched, call: str, text: str) -> None:
    assert written(watched.go("/?s=AAA"), call) == text


def served_with(page: Page, **fields: Any) -> None:
    """Change the next edition that the server sends: no stored state of these databases counts down."""

    def change(route: Route) -> None:
        answer = route.fetch()
        named = {name: value for name, value in fields.items() if name.startswith("next_edition")}
        route.fulfill(response=answer, json=answer.json() | (fields if "status" in route.request.url else named))

    page.route("**/v1/status", change)
    page.route("**/v1/forecasts/AAA", change)
    page.route("**/v1/events", lambda route: route.abort())


def test_the_next_edition_has_a_countdown(watched: Watched) -> None:
    watched.expected.append("ERR_FAILED")
    served_with(watched.page, next_edition_at="2018-06-07T21:30:00Z", next_edition_in_seconds=185)
    page = watched.go("/?s=AAA")
    card = page.locator("#card-next dd")
    expect(card.first).to_have_text(re.compile(r"^in [23] min \d\d s$"))  # a busy machine is seconds late
    expect(card.first).not_to_have_text(card.first.inner_text())
    expect(card.last).to_have_text("2018-06-07 21:30 UTC (17:30 New York)")


def test_a_stopped_scheduler_has_no_countdown(watched: Watched) -> None:
    watched.expected.append("ERR_FAILED")
    stopped = {"alive": False, "heartbeat_at": None}
    served_with(watched.page, next_edition_at="2018-06-07T21:30:00Z", next_edition_in_seconds=185, scheduler=stopped)
    page = watched.go("/?s=AAA")
    expect(page.locator("#card-next dd").first).to_have_text("2018-06-07 21:30")
    expect(page.locator("#card-next dd").last).to_have_text("UTC (17:30 New York). The scheduler is not running")


def test_without_a_countdown_the_card_says_what_it_waits_for(watched: Watched) -> None:
    watched.expected.append("ERR_FAILED")
    training = {
        "group": "equity", "run_id": 41, "since": None, "progress": 0.42, "detail": "one_step", "first": True,
    }  # fmt: skip
    served_with(watched.page, next_edition_at=None, next_edition_in_seconds=None, training=training)
    page = watched.go("/?s=AAA")
    expect(page.locator("#card-next dd").first).to_have_text("Waiting for training, 42 %")


def test_a_past_day_has_the_next_edition_of_today(watched: Watched) -> None:
    page = watched.go("/?s=AAA&as_of=2018-05-24")
    drawn(page, "AAA", "2018-05-24")
    expect(page.locator("#card-forecast")).to_contain_text("Fri 2018-05-25")
    expect(page.locator("#card-forecast")).to_contain_text("inside 80 %")
    expect(page.locator("#card-next dd").last).to_contain_text("2018-06-07 21:30")
