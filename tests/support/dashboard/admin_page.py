"""The admin section in a test: a key, a signed-in page, the real scheduler, and clicks with their confirmation."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from service.access.keys import NewKey, create_key
from service.clock import DatabaseClock
from service.db.session import Database
from service.vocabulary import Scope
from tests.support.dashboard.browser import Watched
from tests.support.dashboard.page_databases import FILE, FIRST, LAST, make_source, open_market, rewrite
from tests.support.recorded import Walk
from tests.support.service_factory import Service, SmallNetworks

NOW = datetime(2026, 11, 27, tzinfo=UTC)
ALL = (Scope.READ, Scope.RUN, Scope.ADMIN)
NEW_SYMBOL = "MORE"
"""A symbol that the source has and the watchlist lacks."""


def new_key(folder: Path, name: str, *scopes: Scope) -> str:
    """Create a key in a folder's database; returns its token."""
    database = Database(f"sqlite:///{folder / FILE}")
    with database.transaction() as connection:
        _, token = create_key(connection, NewKey(name, frozenset(scopes)), NOW)
    database.close()
    return token


def sign_in(page: Page, token: str) -> None:
    """Sign in by the footer's button."""
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Key", exact=True).fill(token)
    page.keyboard.press("Enter")
    expect(page.locator("#sign-in")).to_be_hidden()


def open_admin(watched: Watched, token: str, symbol: str = "AAA") -> Page:
    """Open the page at the admin tab, signed in; returns when everything is read."""
    page = watched.go(f"/?s={symbol}&tab=admin")
    sign_in(page, token)
    expect(page.get_by_role("tab", name="Admin")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#audit tbody tr")).not_to_have_count(0)
    return page


def dialog_of(page: Page) -> Locator:
    """Return the dialog before a write; it is open and has the focus on Cancel."""
    dialog = page.locator("#confirm")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    return dialog


def confirm(page: Page, verb: str, reason: str | None = None) -> None:
    """Confirm the open dialog."""
    dialog = dialog_of(page)
    if reason is not None:
        dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_role("button", name=verb, exact=True).click()
    expect(dialog).to_be_hidden()


@dataclass(frozen=True)
class Carrier:
    """The real scheduler over the database of a page."""

    service: Service

    def work(self) -> None:
        """Carry out every request and run that is due, trainings included."""
        scheduler = self.service.scheduler()
        self.service.work(scheduler)
        scheduler.close()


@contextmanager
def carrier(folder: Path) -> Iterator[Carrier]:
    """Open the service of a replayed folder with one more symbol at the source; networks are small."""
    source = make_source()
    rewrite(source)
    source.put(Walk(NEW_SYMBOL, FIRST, LAST, seed=9))
    service = open_market(folder, source)
    own = service.context.settings.artifact_dir  # named after the database's place: the folder is a copy
    for copied in folder.glob("artifacts-*"):
        if copied != own:
            copied.rename(own)
    context = replace(service.context, machine=DatabaseClock(), child=SmallNetworks())
    try:
        yield Carrier(replace(service, context=context))
    finally:
        service.database.close()
