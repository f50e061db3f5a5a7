"""Signing in on the page: closed reads, a refused key, open reads, revoked keys, and writes by the cookie."""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from service.access.keys import NewKey, create_key, revoke_key
from service.access.page_sessions import LIFETIME
from service.db.session import Database
from service.db.tables import page_sessions
from service.vocabulary import Scope
from tests.support.command import wait_for
from tests.support.dashboard.browser import NARROW, View, Watched, look
from tests.support.dashboard.drawing import assert_nothing_clips, drawn, violations
from tests.support.dashboard.page_databases import FILE
from tests.support.dashboard.server import Server, serving

NOW = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(replayed_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the replayed database."""
    copy: Path = shutil.copytree(replayed_folder, tmp_path_factory.mktemp("closed") / "market")
    return copy


@pytest.fixture(scope="module")
def database(folder: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{folder / FILE}")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def closed(folder: Path) -> Iterator[Server]:
    """A server whose reads need a key."""
    with serving(folder / FILE, {"TPLUS_OPEN_READS": "false"}) as server:
        yield server


@pytest.fixture
def page_of_closed(browser_of_module: Browser, closed: Server) -> Iterator[Watched]:
    with look(browser_of_module, closed.url) as seen:
        yield seen


def new_key(database: Database, name: str, *scopes: Scope) -> tuple[int, str]:
    with database.transaction() as connection:
        key, token = create_key(connection, NewKey(name, frozenset(scopes)), NOW)
    return key.id, token


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Key", exact=True).fill(token)
    page.keyboard.press("Enter")


def test_closed_reads_show_the_sign_in_at_once_and_then_the_page(page_of_closed: Watched, database: Database) -> None:
    page = page_of_closed.go("/?s=AAA")
    dialog = page.get_by_role("dialog", name="Sign in")
    expect(dialog).to_be_visible()
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    expect(dialog).to_contain_text("only with a key")
    expect(dialog).to_contain_text("tplus keys create NAME --scopes read,run,admin")
    assert page_of_closed.failures == []  # nothing was requested that is refused
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()  # there is nothing behind it

    page_of_closed.expected.append("401")
    sign_in(page, "tplus_" + "x" * 43)
    expect(page.get_by_role("alert")).to_contain_text("Not signed in: the key is unknown, revoked or expired")
    sign_in(page, new_key(database, "runner", Scope.RUN)[1])
    expect(page.get_by_role("alert")).to_contain_text("The key runner lacks the scope read")

    sign_in(page, new_key(database, "reader", Scope.READ)[1])
    expect(dialog).to_be_hidden()
    drawn(page, "AAA")
    expect(page.locator("#connection")).to_contain_text("live")  # the event stream works by the cookie
    expect(page.locator("#who")).to_have_text("Signed in as reader (read)")
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (
        "tplus_session", True, "Strict", "/",
    )  # fmt: skip
    assert page.evaluate("document.cookie") == ""
    stored = page.evaluate("JSON.stringify([localStorage, sessionStorage])")
    assert "tplus_" not in stored
    assert page.locator("#key").input_value() == ""

    page.get_by_role("button", name="Sign out").click()
    expect(dialog).to_be_visible()
    expect(page.locator("#steps tbody tr")).to_have_count(0)  # nothing of the data stays
    assert page.context.cookies() == []


def test_a_reloaded_page_is_still_signed_in(page_of_closed: Watched, database: Database) -> None:
    page = page_of_closed.go("/?s=BBB")
    sign_in(page, new_key(database, "reloader", Scope.READ)[1])
    drawn(page, "BBB")
    page.reload()
    drawn(page, "BBB")
    expect(page.locator("#who")).to_contain_text("reloader")


def test_a_revoked_key_ends_the_page_within_a_second_and_a_reload(page_of_closed: Watched, database: Database) -> None:
    key_id, token = new_key(database, "short", Scope.READ)
    page = page_of_closed.go("/?s=AAA")
    sign_in(page, token)
    expect(page.locator("#connection")).to_contain_text("live")
    page_of_closed.expected.append("401")
    with database.transaction() as connection:
        revoke_key(connection, key_id, datetime.now(UTC))
    expect(page.get_by_role("dialog", name="Sign in")).to_be_visible(timeout=5_000)
    expect(page.locator("#steps tbody tr")).to_have_count(0)


def test_an_old_session_is_renewed_by_the_page(page_of_closed: Watched, database: Database) -> None:
    page = page_of_closed.go("/?s=AAA")
    sign_in(page, new_key(database, "renewer", Scope.READ)[1])
    drawn(page, "AAA")
    before = page.context.cookies()[0]["value"]
    with database.transaction() as connection:
        now = datetime.now(UTC)
        old = {"created_at": now - timedelta(hours=7), "expires_at": now - timedelta(hours=7) + LIFETIME}
        connection.execute(page_sessions.update().values(signed_in_at=old["created_at"], **old))
    page.wait_for_timeout(600)  # longer than an answer is kept
    page.reload()
    drawn(page, "AAA")
    wait_for(lambda: page.context.cookies()[0]["value"] != before, 5)
    expect(page.locator("#connection")).to_contain_text("live")


@pytest.mark.parametrize("size", [NARROW, (1440, 1000)])
def test_signing_in_where_reads_are_open(browser_of_module: Browser, market: Server, size: tuple[int, int]) -> None:
    with look(browser_of_module, market.url, View(size)) as watched:
        page = watched.go("/?s=AAA")
        drawn(page, "AAA")
        expect(page.locator("#sign-in")).to_be_hidden()
        page.get_by_role("button", name="Sign in").click()
        dialog = page.get_by_role("dialog", name="Sign in")
        expect(dialog).to_be_visible()
        assert violations(page) == []
        assert_nothing_clips(page)
        page.get_by_role("button", name="Cancel").click()
        expect(dialog).to_be_hidden()
        expect(page.locator("#account")).to_be_focused()


def test_the_page_writes_by_its_cookie_and_another_site_does_not(page_of_closed: Watched, database: Database) -> None:
    page = page_of_closed.go("/?s=AAA")
    sign_in(page, new_key(database, "writer", Scope.READ, Scope.ADMIN)[1])
    drawn(page, "AAA")
    module = page.evaluate("document.querySelector('link[href$=\"/session.js\"]').href")
    page_of_closed.expected.append("404")  # the browser's cookie and Origin were accepted: no such route answered
    sentence = page.evaluate(
        """async (module) => { const { write } = await import(module);
        try { await write('POST', '/v1/no-such-route', {a: 1}); } catch (error) { return error.sentence; } }""",
        module,
    )
    assert sentence == "the route does not exist; see /docs"
    answer = page.evaluate("fetch('/v1/session').then((answer) => answer.json())")
    assert (answer["name"], answer["scopes"]) == ("writer", ["read", "admin"])
    (cookie,) = page.context.cookies()
    refused = page.request.delete(f"{page_of_closed.url}/v1/session", headers={"Origin": "https://evil.example"})
    assert refused.status == 403
    assert re.search("only this service's own page", json.loads(refused.body())["detail"])
    assert page.context.cookies() == [cookie]
