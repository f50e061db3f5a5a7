"""The documentation at `/docs` in a real browser: it works under its content security policy."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support.dashboard.browser import Watched, look
from tests.support.dashboard.server import serving


@pytest.fixture(params=["", "/tplus"], ids=["at the root", "below a path"])
def documentation(request: pytest.FixtureRequest, browser_of_module: Browser, tmp_path: Path) -> Iterator[Watched]:
    with (
        serving(tmp_path / "none.db", {"TPLUS_ROOT_PATH": request.param}) as server,
        look(browser_of_module, server.url + request.param) as seen,
    ):
        yield seen


def test_swagger_ui_shows_the_routes_and_sends_a_request(documentation: Watched) -> None:
    page = documentation.go("/docs")
    expect(page.locator(".opblock")).not_to_have_count(0)
    assert page.locator("script:not([src])").count() == 1
    page.locator("#operations-status-get_liveness, [id$=get_liveness]").first.click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    documentation.assert_clean()


def test_another_script_does_not_run(documentation: Watched) -> None:
    documentation.expected.append("Content Security Policy")
    page = documentation.go("/docs")
    page.evaluate(
        "() => { const planted = document.createElement('script'); planted.textContent = 'window.planted = 1';"
        " document.body.append(planted); }"
    )
    assert page.evaluate("() => window.planted === undefined")
    assert any(re.search("Content Security Policy", failure) for failure in documentation.failures)
