"""Fixtures of the page's tests.

The browser is opened per module by this file, not by pytest-playwright's own fixtures: those keep an event loop
running in the main thread until the whole session ends, while other tests need their own.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support.dashboard.browser import View, Watched, look, open_browser
from tests.support.dashboard.page_databases import FILE, NOTICES, make_notice, replayed
from tests.support.dashboard.server import Server, serving
from tests.support.paths import ROOT

expect.set_options(timeout=15_000)  # test machines are busy; tests of a promised time set their own

PICTURES = ROOT / "var" / "screenshots"


@pytest.fixture(scope="session")
def replayed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the replayed database, made once for all workers; read-only."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder, lock = shared / "replayed-market", shared / "replayed-market.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            replayed(folder)
            (folder / "whole").touch()
    return folder


@pytest.fixture
def own_market(replayed_folder: Path, tmp_path: Path) -> Path:
    """Folder of this test's own copy of the replayed database."""
    folder: Path = shutil.copytree(replayed_folder, tmp_path / "market")
    return folder


@pytest.fixture(scope="module")
def market(replayed_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over a copy of the replayed database, for tests that only read."""
    folder = shutil.copytree(replayed_folder, tmp_path_factory.mktemp("market") / "copy")
    with serving(folder / FILE) as server:
        yield server


@pytest.fixture(scope="module")
def notice_servers(
    replayed_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Server]]:
    """Servers of the notices by name, started at first use; those without their own database share one."""
    folder, running = tmp_path_factory.mktemp("notices"), {}

    def serve(name: str) -> Server:
        own = name if NOTICES[name].make else "shared"
        if own not in running:
            manager = serving(make_notice(name, replayed_folder, folder / own) / FILE)
            running[own] = (manager, manager.__enter__())
        return running[own][1]

    yield serve
    for manager, _ in running.values():
        manager.__exit__(None, None, None)


@pytest.fixture(scope="module")
def browser_of_module() -> Iterator[Browser]:
    """A new browser."""
    with open_browser() as browser:
        yield browser


@pytest.fixture
def view() -> View:
    """Window size and theme; parametrize to change them."""
    return View()


@pytest.fixture
def watched(browser_of_module: Browser, market: Server, view: View) -> Iterator[Watched]:
    """A page of the replayed market; the test fails on unexpected errors."""
    with look(browser_of_module, market.url, view) as seen:
        yield seen


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Folder of the screenshots, kept after the tests."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    return PICTURES
