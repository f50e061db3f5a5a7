"""Times on the page: in the visitor's zone with the exchange's beside them, ages, and countdowns."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import update

from service.clock import DatabaseClock
from service.dashboard.assets import Assets
from service.db.session import Database
from service.db.tables import market_clock, schedulers
from tests.support.dashboard.browser import WIDE, Watched, look
from tests.support.dashboard.drawing import drawn
from tests.support.dashboard.page_databases import FILE
from tests.support.dashboard.server import Server, serving


def written(page: Page, call: str) -> str:
    """Return a text of the page's own module."""
    address = Assets.packaged().address("format.js")
    made: str = page.evaluate(f"async () => (await import('{address}')).{call}")
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


@contextmanager
def counting_down(folder: Path, alive: bool = True) -> Iterator[Server]:
    """Serve a replay whose clock moves in 185 seconds, with or without a scheduler."""
    database = Database(f"sqlite:///{folder / FILE}")
    with database.transaction() as connection:
        now = DatabaseClock().now(connection)
        # Scheduler and clock of the replay are of another machine time.
        connection.execute(update(market_clock).values(next_move_at=now + timedelta(seconds=185)))
        connection.execute(update(schedulers).values(heartbeat_at=now if alive else now - timedelta(days=1)))
    database.close()
    # The clock counts 20 s a day: what follows its next move takes a part of them.
    with serving(
        folder / FILE, {"TPLUS_CLOCK": "replay:2018-03-01T22:30:00Z:20", "TPLUS_LEASE_SECONDS": "600"}
    ) as server:
        yield server


def test_the_next_edition_of_the_symbols_calendar_has_a_countdown(browser_of_module: Browser, own_market: Path) -> None:
    with counting_down(own_market) as server, look(browser_of_module, server.url) as watched:
        page = watched.go("/?s=AAA")
        card = page.locator("#card-next dd")
        expect(card.first).to_have_text(re.compile(r"^in [23] min \d\d s$"))  # a busy machine is seconds late
        expect(card.first).not_to_have_text(card.first.inner_text())
        expect(card.last).to_have_text("2018-06-07 21:30 UTC (17:30 New York)")
        page.locator('#watchlist [data-symbol="7203.T"]').click()
        expect(card.last).to_contain_text("Tokyo")
        expect(card.first).to_have_text(re.compile(r"^in [23] min \d\d s$"))


def test_a_stopped_scheduler_has_no_countdown(browser_of_module: Browser, own_market: Path) -> None:
    with counting_down(own_market, alive=False) as server, look(browser_of_module, server.url) as watched:
        page = watched.go("/?s=AAA")
        expect(page.locator("#card-next dd").first).to_have_text("2018-06-07 21:30")
        expect(page.locator("#card-next dd").last).to_have_text("UTC (17:30 New York). The scheduler is not running")


def test_without_a_countdown_the_card_says_what_it_waits_for(
    browser_of_module: Browser, notice_servers: Callable[[str], Server]
) -> None:
    with look(browser_of_module, notice_servers("training").url) as watched:
        page = watched.go("/?s=AAA")
        expect(page.locator("#card-next dd").first).to_have_text("Waiting for training, 42 %")


def test_a_past_day_has_the_next_edition_of_today(watched: Watched) -> None:
    page = watched.go("/?s=AAA&as_of=2018-05-24")
    drawn(page, "AAA", "2018-05-24")
    expect(page.locator("#card-forecast")).to_contain_text("Fri 2018-05-25")
    expect(page.locator("#card-forecast")).to_contain_text("inside 80 %")
    expect(page.locator("#card-next dd").last).to_contain_text("2018-06-07 21:30")
