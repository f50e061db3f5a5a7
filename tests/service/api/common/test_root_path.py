"""The page, its files, the documentation and the API work below the path of a proxy."""

import json
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Response

from service.errors import SettingsError
from service.settings import load_settings
from tests.support.dashboard.browser import open_browser
from tests.support.dashboard.server import serving
from tests.support.stripping_proxy import proxied


@pytest.fixture(scope="module")
def published(filled_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address behind the proxy, and the server's own."""
    path = tmp_path_factory.mktemp("proxied") / "filled.db"
    shutil.copyfile(filled_file, path)
    with serving(path, {"TPLUS_ROOT_PATH": "/tplus/"}) as server, proxied(server.url, "/tplus") as address:
        yield address, server.url


def fetch(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_all_addresses_in_the_page_and_the_documentation_answer(published: tuple[str, str]) -> None:
    address, _ = published
    origin = address.removesuffix("/tplus")
    for page in ("/", "/docs"):
        status, body = fetch(address + page)
        assert status == 200
        links = re.findall(r'(?:href|src)="([^"#]+)"', body) + re.findall(r"url: '([^']+)'", body)
        assert len(links) > 3
        for link in links:
            assert link.startswith("/tplus/"), link
            assert fetch(origin + link)[0] == 200, link


def test_the_openapi_document_names_the_path(published: tuple[str, str]) -> None:
    document = json.loads(fetch(f"{published[0]}/openapi.json")[1])
    assert document["servers"] == [{"url": "/tplus"}]
    assert "/v1/forecasts/{symbol}" in document["paths"]


def test_the_api_answers_below_the_path_and_directly(published: tuple[str, str]) -> None:
    address, own = published
    assert fetch(f"{address}/v1/forecasts/AAPL")[0] == 200
    assert '"instance":"/tplus/v1/forecasts/ZZZZ"' in fetch(f"{address}/v1/forecasts/ZZZZ")[1]
    assert fetch(f"{own}/healthz")[0] == 200  # a health check that does not pass through the proxy
    assert fetch(f"{own}/tplus/healthz")[0] == 200  # a proxy that does not strip the path
    assert fetch(f"{own}/tplusser/healthz")[0] == 404


def test_the_page_loads_its_data_in_a_browser(published: tuple[str, str]) -> None:
    address, answers = published[0], list[Response]()
    with open_browser() as browser, browser.new_context() as context:
        page = context.new_page()
        page.on("response", lambda answer: answers.append(answer))
        with page.expect_response(re.compile(r"/tplus/v1/events$")), page.expect_response(
            re.compile(r"/tplus/v1/forecasts/AAPL")
        ):  # fmt: skip
            page.goto(f"{address}/?s=AAPL")
    assert {answer.status for answer in answers} <= {200, 304}, [(each.status, each.url) for each in answers]
    assert all(answer.url.startswith(f"{address}/") for answer in answers)


@pytest.mark.parametrize("path", ["tplus", "/a b", "/../etc", "/tplus?x", '/"><script>', "/v1", "/static/tplus", "//x",
                                  "/" + "a" * 200])  # fmt: skip
def test_a_path_that_cannot_be_used_is_refused(path: str) -> None:
    with pytest.raises(SettingsError, match="TPLUS_ROOT_PATH"):
        load_settings({"TPLUS_ROOT_PATH": path})


@pytest.mark.parametrize(
    ("given", "used"), [("", ""), ("/", ""), ("/tplus", "/tplus"), ("/a/b-c_d.e~/", "/a/b-c_d.e~")]
)
def test_a_path_is_kept_without_its_last_slash(given: str, used: str) -> None:
    settings: Any = load_settings({"TPLUS_ROOT_PATH": given})
    assert settings.root_path == used
