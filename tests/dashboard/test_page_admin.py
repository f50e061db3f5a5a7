"""The admin section: requests carried out by the real scheduler, confirmation, audit rows, and who sees it."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select, update

from service.audit import AuditEntry, record
from service.clock import DatabaseClock
from service.db.migrate import upgrade
from service.db.session import Database
from service.db.tables import audit, instruments, model_versions, run_requests, runs, schedulers
from service.run_requests.store import NewRequest, RequestEnd, accept, end_request, write_request
from service.vocabulary import RequestKind, RequestState, Scope
from tests.support.api.ledger_factory import add_run, fill
from tests.support.dashboard.admin_page import (
    ALL,
    NEW_SYMBOL,
    NOW,
    carrier,
    confirm,
    dialog_of,
    new_key,
    open_admin,
    sign_in,
)
from tests.support.dashboard.browser import NARROW, View, Watched, look
from tests.support.dashboard.drawing import assert_nothing_clips, drawn, picture, violations
from tests.support.dashboard.page_databases import FILE, START, close, make_source, with_tables
from tests.support.dashboard.server import Server, serving
from tests.support.service_factory import ServiceOptions, make_service

MARKUP = '<img src=x onerror="window.hostile = 1"><script>window.hostile = 2</script>'
TARGET = "https://93.184.215.14/hook/hidden"


@pytest.fixture
def own_server(own_market: Path) -> Iterator[Server]:
    """A server over this test's own database."""
    with serving(own_market / FILE) as server:
        yield server


@pytest.fixture
def own_page(browser_of_module: Browser, own_server: Server) -> Iterator[Watched]:
    """A page of that server."""
    with look(browser_of_module, own_server.url) as watched:
        yield watched


@pytest.fixture(scope="module")
def shared_market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ledger for the tests that need no scheduler; some of its texts are markup."""
    folder = tmp_path_factory.mktemp("admin")
    database = Database(f"sqlite:///{folder / FILE}")
    upgrade(database)
    fill(database)
    with database.transaction() as connection:
        connection.execute(update(instruments).values(name=MARKUP, state="failing", state_reason=MARKUP))
        connection.execute(update(model_versions).values(reason=MARKUP))
        record(connection, AuditEntry("symbols.add", MARKUP, {MARKUP: MARKUP}), NOW)
        request = write_request(connection, NewRequest(RequestKind.ADD_SYMBOL, {"symbol": MARKUP}), NOW)
        end_request(connection, request, RequestEnd(RequestState.REJECTED, MARKUP), NOW)
    database.close()
    return folder


@pytest.fixture(scope="module")
def shared_server(shared_market: Path) -> Iterator[Server]:
    """A server over that copy."""
    with serving(shared_market / FILE) as server:
        yield server


@pytest.fixture
def shared_page(browser_of_module: Browser, shared_server: Server) -> Iterator[Watched]:
    """A page of that server."""
    with look(browser_of_module, shared_server.url) as watched:
        yield watched


def requests_of(folder: Path) -> list[tuple[str, str]]:
    """Return kind and state of every run request."""
    database = Database(f"sqlite:///{folder / FILE}")
    with database.reading() as connection:
        found = connection.execute(select(run_requests.c.kind, run_requests.c.state).order_by(run_requests.c.id)).all()
    database.close()
    return [(row.kind, row.state) for row in found]


def audit_of(folder: Path, actor: str) -> list[str]:
    """Return the actions of an actor, oldest first."""
    database = Database(f"sqlite:///{folder / FILE}")
    with database.reading() as connection:
        query = select(audit.c.action).where(audit.c.actor == actor).order_by(audit.c.id)
        found = list(connection.execute(query).scalars())
    database.close()
    return found


def add_symbol(page: Page, symbol: str) -> None:
    page.get_by_label("Symbol to add").fill(symbol)
    page.get_by_role("button", name="Add symbol").click()


def request_run(page: Page, job: str, scope: str) -> None:
    page.get_by_label("Job", exact=True).select_option(job)
    expect(page.locator("#run-scope-label")).to_have_text("Group" if job == "train" else "Calendar")
    page.locator("#run-scope").fill(scope)
    page.get_by_role("button", name="Request run").click()


def test_the_scheduler_adds_a_symbol_and_removes_it(own_page: Watched, own_market: Path) -> None:
    page = open_admin(own_page, new_key(own_market, "ops", *ALL))
    expect(page.locator("#connection")).to_contain_text("live")
    add_symbol(page, NEW_SYMBOL.lower())
    expect(dialog_of(page)).to_contain_text("more is put on the watchlist if the source has it")
    confirm(page, "Add")
    outcome = page.locator("#symbols-outcome")
    expect(outcome).to_contain_text(re.compile(r"Request \d+ is pending"))
    expect(outcome).to_contain_text(re.compile(r"Audit \d+: .*, ops, run_requests.create \d+"))
    with carrier(own_market) as scheduler:
        scheduler.work()
        expect(outcome).to_contain_text(re.compile(r"Request \d+ is done"))
        expect(outcome).to_contain_text(re.compile(r"Audit \d+: .*, ops, symbols.add MORE"))
        page.get_by_label("Find on the watchlist").fill("more")
        expect(page.locator("#symbols tbody tr")).to_have_count(1)
        expect(page.locator("#requests tbody tr").first).to_contain_text("add MORE")

        add_symbol(page, "NOTHERE")
        confirm(page, "Add")
        scheduler.work()
        expect(outcome).to_contain_text(re.compile(r"Request \d+ was rejected: .*NOTHERE"))
        expect(outcome).to_contain_text("run_requests.end")

        page.get_by_role("button", name="Remove MORE").click()
        expect(dialog_of(page)).to_contain_text("its history, forecasts and scores stay")
        confirm(page, "Remove")
        scheduler.work()
        expect(outcome).to_contain_text("symbols.remove MORE")
        expect(page.locator("#symbols tbody")).to_contain_text("No symbol matches")
        expect(page.locator("#symbols-heading")).to_be_focused()  # the row with the button is gone
    assert requests_of(own_market) == [("symbols.add", "done"), ("symbols.add", "rejected"), ("symbols.remove", "done")]


def test_a_retrain_is_requested_and_watched_to_its_end(own_page: Watched, own_market: Path) -> None:
    page = open_admin(own_page, new_key(own_market, "ops", *ALL))
    before = int(page.locator("#versions tbody tr").first.locator("td .value").first.inner_text())
    request_run(page, "train", "wild")
    expect(dialog_of(page)).to_contain_text("New networks of the group wild are trained now")
    confirm(page, "Request")
    outcome = page.locator("#requests-outcome")
    expect(outcome).to_contain_text("is pending")
    with carrier(own_market) as scheduler:
        scheduler.work()
    expect(outcome).to_contain_text(re.compile(r"Request \d+ is done: run \d+"))
    expect(outcome).to_contain_text("runs.plan train wild")
    newest = page.locator("#versions tbody tr").first
    expect(newest.locator("td").nth(1)).to_contain_text("wild")
    assert int(newest.locator("td .value").first.inner_text()) > before
    request_run(page, "forecast", "XNYS")
    confirm(page, "Request")
    with carrier(own_market) as scheduler:
        scheduler.work()
    expect(outcome).to_contain_text("runs.plan forecast XNYS")
    # A symbol of the watchlist has no bar of the session: the run waits for it, and so does the request.
    expect(page.locator("#requests tbody tr").first).to_contain_text(re.compile(r"run \d+ is waiting"))
    assert requests_of(own_market) == [("run", "done"), ("run", "accepted")]


def test_the_progress_of_a_requested_training_is_shown_as_it_comes(own_page: Watched, own_market: Path) -> None:
    page = open_admin(own_page, new_key(own_market, "ops", *ALL))
    expect(page.locator("#connection")).to_contain_text("live")
    request_run(page, "train", "wild")
    confirm(page, "Request")
    outcome = page.locator("#requests-outcome")
    expect(outcome).to_contain_text(re.compile(r"Request \d+ is pending"))
    database = Database(f"sqlite:///{own_market / FILE}")
    with database.transaction() as connection:
        now = DatabaseClock().now(connection) + timedelta(hours=1)  # alive to the end of the test
        connection.execute(update(schedulers).values(heartbeat_at=now))
        (request,) = connection.execute(select(run_requests.c.id)).scalars()
        add_run(connection, 900, "train", {})
        connection.execute(update(runs).where(runs.c.id == 900).values(state="running", scope="wild"))
        accept(connection, request, [900])
    expect(outcome).to_contain_text("is accepted: run 900 is running")
    for share, detail, words in ((0.25, "seed 1, epoch 3", "25"), (0.5, "seed 2, epoch 1", "50")):
        with database.transaction() as connection:
            values = {"progress": share, "progress_detail": detail}
            connection.execute(update(runs).where(runs.c.id == 900).values(values))
        expect(outcome).to_contain_text(re.compile(rf"run 900 is running, {words}\s?%: {detail}"))
        expect(page.locator("#requests tbody tr").first).to_contain_text(detail)
    database.close()


def test_a_version_is_promoted_pinned_unpinned_and_rolled_back(own_page: Watched, own_market: Path) -> None:
    page = open_admin(own_page, new_key(own_market, "ops", *ALL))
    page.get_by_label("Versions of group").fill("wild")
    page.get_by_label("Versions of group").press("Tab")
    page.locator("#versions-status").select_option("champion")
    expect(page.get_by_role("button", name=re.compile("^Pin version"))).to_have_count(2)
    outcome = page.locator("#versions-outcome")
    with carrier(own_market) as scheduler:
        pin = page.get_by_role("button", name=re.compile("^Pin version")).first
        version = re.sub(r"\D", "", pin.get_attribute("aria-label") or "")
        pin.click()
        dialog_of(page).get_by_role("button", name="Pin", exact=True).click()
        expect(page.locator("#confirm")).to_be_visible()  # a reason is required
        assert requests_of(own_market) == []
        page.get_by_role("button", name="Cancel").click()
        expect(pin).to_be_focused()
        pin.click()
        confirm(page, "Pin", "it did well in crises")
        scheduler.work()
        expect(outcome).to_contain_text("models.pin")
        expect(page.locator("#versions")).to_contain_text("pinned since")
        page.get_by_role("button", name=f"Unpin version {version}").click()
        confirm(page, "Unpin", "the gate may decide")
        scheduler.work()
        expect(outcome).to_contain_text("models.unpin")
        expect(page.locator("#versions")).not_to_contain_text("pinned since")

        page.locator("#versions-status").select_option("")
        promote = page.get_by_role("button", name=re.compile("^Promote version")).first
        expect(promote).to_be_visible()
        version = re.sub(r"\D", "", promote.get_attribute("aria-label") or "")
        promote.click()
        confirm(page, "Promote", "the other one is too wide")
        scheduler.work()
        expect(outcome).to_contain_text("models.promote")
        row = page.locator("#versions tbody tr").filter(
            has=page.locator("td:first-child", has_text=re.compile(f"^{version}$"))
        )
        expect(row.locator("td").nth(3)).to_contain_text("champion")
        strategy = row.locator("td").nth(2).locator(".note").inner_text().replace(" ", "_")

        page.locator("#rollback-group").fill("wild")
        page.get_by_label("Strategy", exact=True).select_option(strategy)
        page.get_by_role("button", name="Roll back").click()
        confirm(page, "Roll back", "that was worse")
        scheduler.work()
        expect(outcome).to_contain_text(re.compile(r"Request \d+ is done"))
        expect(row.locator("td").nth(3)).not_to_contain_text("champion")
    assert audit_of(own_market, "ops").count("models.promote") >= 1


def test_the_section_exists_only_with_the_scope_admin(shared_page: Watched, shared_market: Path) -> None:
    page = shared_page.go("/?s=AAPL&tab=admin")
    drawn(page, "AAPL")
    expect(page.get_by_role("tab", name="Forecast")).to_have_attribute("aria-selected", "true")
    assert page.locator("#panel-admin, #tab-admin, #confirm").count() == 0
    loaded = page.evaluate("performance.getEntriesByType('resource').map((each) => each.name)")
    assert not any(name.endswith("/admin.js") for name in loaded)
    sign_in(page, new_key(shared_market, "runner", Scope.READ, Scope.RUN))
    expect(page.locator("#who")).to_contain_text("runner")
    assert page.locator("#panel-admin, #tab-admin, #confirm").count() == 0
    page.locator("#tab-forecast").focus()
    page.keyboard.press("End")
    expect(page.locator("#tab-runs")).to_be_focused()
    page.get_by_role("button", name="Sign out").click()
    page.locator("#tab-forecast").click()

    sign_in(page, new_key(shared_market, "boss", Scope.READ, Scope.ADMIN))
    expect(page.get_by_role("tab", name="Admin")).to_be_visible()
    page.locator("#tab-forecast").focus()
    page.keyboard.press("End")
    expect(page.locator("#tab-admin")).to_be_focused()
    expect(page.get_by_role("heading", name="Subscriptions")).to_be_visible()
    expect(page.get_by_role("button", name="Request run")).to_be_disabled()
    expect(page.locator("#run-hint")).to_contain_text("The key boss lacks the scope run")
    page.get_by_role("button", name="Remove AAPL").click()
    dialog_of(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Remove AAPL")).to_be_focused()
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#who")).to_be_empty()
    assert page.locator("#panel-admin, #tab-admin, #confirm").count() == 0
    expect(page.get_by_role("tab", name="Forecast")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#panel-forecast")).to_be_visible()


def test_errors_of_the_api_are_next_to_what_was_clicked(shared_page: Watched, shared_market: Path) -> None:
    page = open_admin(shared_page, new_key(shared_market, "errors", *ALL), "AAPL")
    shared_page.expected += ["400", "422"]
    before = requests_of(shared_market)
    request_run(page, "train", "nosuch")
    confirm(page, "Request")
    expect(page.locator("#requests-outcome")).to_contain_text(
        "must be a group of the watchlist for train: crypto, equity"
    )
    add_symbol(page, "<b>A")
    confirm(page, "Add")
    expect(page.locator("#symbols-outcome")).to_contain_text("must be a symbol of at most 40 letters")
    assert page.locator("#symbols-outcome b, #confirm b").count() == 0
    page.get_by_text("Add a subscription").click()
    page.get_by_label("Name", exact=True).fill("inner")
    page.locator("#subscription-target").fill("https://10.0.0.1/hook")
    page.get_by_role("button", name="Add subscription").click()
    expect(page.locator("#subscriptions-outcome")).to_contain_text("Choose at least one kind")
    page.get_by_role("button", name="source down").click()
    page.get_by_role("button", name="Add subscription").click()
    confirm(page, "Add")
    expect(page.locator("#subscriptions-outcome")).to_contain_text("10.0.0.1")
    expect(page.get_by_label("Name", exact=True)).to_have_value("inner")  # nothing has to be typed again
    assert requests_of(shared_market) == before
    assert audit_of(shared_market, "errors") == ["session.create"]


def test_a_double_click_and_a_retry_send_one_request(own_page: Watched, own_server: Server, own_market: Path) -> None:
    own_page.expected += ["ERR_"]
    page = open_admin(own_page, new_key(own_market, "ops", *ALL))
    request_run(page, "pull", "XNYS")
    dialog_of(page).get_by_role("button", name="Request", exact=True).dblclick()
    expect(page.locator("#requests-outcome")).to_contain_text("run_requests.create")
    assert requests_of(own_market) == [("run", "pending")]

    lost: list[str] = []

    def lose(route: object) -> None:
        """Send the request, and lose its answer once."""
        if lost:
            route.continue_()  # type: ignore[attr-defined]
            return
        lost.append(route.fetch().text())  # type: ignore[attr-defined]
        route.abort()  # type: ignore[attr-defined]

    page.route("**/v1/runs", lose)
    request_run(page, "forecast", "XNYS")
    dialog = dialog_of(page)
    dialog.get_by_role("button", name="Request", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("the service does not answer")
    page.keyboard.press("Escape")
    expect(page.locator("#requests-outcome")).to_contain_text("the service does not answer")
    lost.clear()
    request_run(page, "score", "XNYS")
    dialog.get_by_role("button", name="Request", exact=True).click()
    dialog.get_by_role("button", name="Try again").click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#requests-outcome")).to_contain_text("run_requests.create")
    assert len(requests_of(own_market)) == 3  # the lost answers were of requests that had arrived
    page.unroute("**/v1/runs")


def test_a_subscription_is_added_tested_and_removed(shared_page: Watched, shared_market: Path) -> None:
    page = open_admin(shared_page, new_key(shared_market, "alerts", *ALL), "AAPL")
    page.get_by_text("Add a subscription").click()
    page.get_by_label("Name", exact=True).fill("night shift")
    page.locator("#subscription-target").fill(TARGET)
    page.get_by_role("button", name="source down").click()
    page.get_by_role("button", name="close left interval").click()
    page.get_by_label("Covers", exact=True).select_option("symbol")
    page.locator("#subscription-scope").fill("AAPL")
    page.get_by_role("button", name="Add subscription").click()
    expect(dialog_of(page)).to_contain_text("the symbol AAPL (close left interval, source down)")
    assert "hidden" not in dialog_of(page).inner_text()
    confirm(page, "Add")
    secret = page.get_by_label("Secret that verifies its webhooks")
    expect(secret).to_have_value(re.compile("^whsec_"))
    expect(page.locator("#subscriptions-outcome")).to_contain_text("night shift was added")
    expect(page.locator("#subscriptions-outcome")).to_contain_text("alerts.add")
    page.get_by_role("button", name="Done").click()
    expect(secret).to_be_hidden()
    assert page.locator("#secret").input_value() == ""
    expect(page.locator("#subscriptions-heading")).to_be_focused()
    row = page.locator("#subscriptions tbody tr").first
    expect(row).to_contain_text("symbol AAPL, 95 % interval")
    expect(row).to_contain_text("https://93.184.215.14/...")
    page.get_by_role("button", name="Send a test to night shift").click()
    confirm(page, "Send")
    expect(row.locator(".row-actions")).to_contain_text("queued as msg_")
    expect(row).to_contain_text("1 pending")
    page.get_by_role("button", name="Remove the subscription night shift").click()
    expect(dialog_of(page)).to_contain_text("1 pending deliveries are dropped")
    confirm(page, "Remove")
    expect(page.locator("#subscriptions-outcome")).to_contain_text("alerts.remove")
    expect(page.locator("#subscriptions")).to_contain_text("No subscription yet")
    assert audit_of(shared_market, "alerts") == ["session.create", "alerts.add", "alerts.test", "alerts.remove"]


SIZES = [View(), View(theme="dark"), View(NARROW), View(NARROW, "dark")]
_SMALL_TARGETS = """() => [...document.querySelectorAll('#panel-admin :is(button, input, select, summary)')]
  .filter((each) => each.getClientRects().length).map((each) => [each, each.getBoundingClientRect()])
  .filter(([, box]) => box.width < 44 || box.height < 44).map(([each]) => each.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("seen", SIZES, ids=["light", "dark", "phone-light", "phone-dark"])
def test_the_section_is_accessible_and_markup_is_text(
    browser_of_module: Browser, shared_server: Server, shared_market: Path, pictures: Path, seen: View
) -> None:
    token = new_key(shared_market, f"look-{seen.size[0]}-{seen.theme}", *ALL)
    with look(browser_of_module, shared_server.url, seen) as watched:
        page = open_admin(watched, token, "AAPL")
        page.evaluate("document.querySelectorAll('#panel-admin details').forEach((each) => each.open = true)")
        if page.locator("#audit-more").is_visible():
            page.locator("#audit-more").click()  # other tests wrote rows, too
        for table in ("symbols", "requests", "versions", "audit"):
            expect(page.locator(f"#{table}")).to_contain_text("<img src=x onerror")
        assert violations(page) == []
        assert_nothing_clips(page)
        picture(page, pictures, f"admin-{seen.size[0]}-{seen.theme}")
        page.get_by_role("button", name=re.compile("^(Promote|Pin) version")).first.click()
        dialog_of(page).get_by_label("Reason").fill(MARKUP)
        assert violations(page) == []
        if seen.size == NARROW:
            assert page.evaluate(_SMALL_TARGETS) == []
        page.keyboard.press("Enter")
        expect(page.locator("#versions-outcome")).to_contain_text("run_requests.create")
        expect(page.locator("#requests tbody tr").first).to_contain_text("<script>")
        assert page.evaluate("window.hostile ?? null") is None
        assert page.evaluate("document.querySelectorAll('#panel-admin img, #confirm img, main script').length") == 0


def test_the_first_symbol_of_an_empty_watchlist(browser_of_module: Browser, tmp_path: Path) -> None:
    with_tables(tmp_path)
    close(make_service(Database(f"sqlite:///{tmp_path / FILE}"), tmp_path, make_source(), ServiceOptions(START, ())))
    token = new_key(tmp_path, "ops", *ALL)
    with serving(tmp_path / FILE) as server, look(browser_of_module, server.url) as watched:
        watched.expected += ["404", "503"]
        page = open_admin(watched, token, "")
        expect(page.locator("#symbols")).to_contain_text("The watchlist is empty. Add the first symbol above.")
        add_symbol(page, "AAPL")
        confirm(page, "Add")
        expect(page.locator("#symbols-outcome")).to_contain_text("no scheduler is running")
    assert requests_of(tmp_path) == [("symbols.add", "pending")]
