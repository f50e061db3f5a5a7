"""The page over HTTP: its policy, what may be cached, what is not there, and nothing from anywhere else."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from service.app import create_app
from service.dashboard.assets import Assets, PlotlyFile
from service.settings import Settings
from tests.support.api.client import TestClient

FOR_GOOD = "public, max-age=31536000, immutable"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@pytest.fixture(scope="module")
def page_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a service whose database nobody has made yet."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("page"))
    with TestClient(create_app(settings)) as client:
        yield client


class Tags(HTMLParser):
    """The tags of a page with their attributes, and the text inside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style") and data.strip():
            self.inline.append(data)


@pytest.fixture(scope="module")
def tags(page_client: TestClient) -> Tags:
    return Tags(page_client.get("/").text)


def addresses(tags: Tags) -> list[str]:
    """Whatever the page loads or leads to."""
    names = ("src", "href", "action", "data")
    return [value for _, given in tags.tags for name in names if (value := given.get(name)) is not None]


def test_the_page_stands_without_any_database(page_client: TestClient) -> None:
    answer = page_client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "not investment advice" in answer.text


def test_the_page_keeps_its_view_in_the_address(page_client: TestClient) -> None:
    assert page_client.get("/?s=AAPL&as_of=2018-06-01&range=3m").status_code == 200


def test_the_policy_allows_this_server_alone_and_nothing_inline(page_client: TestClient) -> None:
    assert page_client.get("/").headers["content-security-policy"] == POLICY


def test_the_policy_stands_on_every_file_too(page_client: TestClient, tags: Tags) -> None:
    loaded = [address for address in addresses(tags) if address.startswith("/static/")]
    assert len(loaded) > 10
    for address in loaded:
        headers = page_client.get(address).headers
        assert headers["content-security-policy"] == POLICY, address
        assert headers["x-content-type-options"] == "nosniff", address


def test_every_file_that_the_page_names_is_there_for_good(page_client: TestClient, tags: Tags) -> None:
    for address in addresses(tags):
        if address.startswith("/static/"):
            answer = page_client.get(address)
            assert answer.status_code == 200, address
            assert answer.headers["cache-control"] == FOR_GOOD, address


def test_the_page_itself_is_asked_for_again_and_seldom_sent(page_client: TestClient) -> None:
    first = page_client.get("/")
    assert first.headers["cache-control"] == "no-cache"
    again = page_client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == POLICY
    assert page_client.get("/", headers={"If-None-Match": '"older"'}).status_code == 200


def test_nothing_comes_from_anywhere_else(tags: Tags) -> None:
    assert addresses(tags)
    assert [address for address in addresses(tags) if not re.match(r"/(?!/)|#", address)] == []


def test_no_file_of_ours_names_another_host() -> None:
    for name, asset in Assets.packaged().files.items():
        named = set(re.findall(rb"(?:https?:)?//[a-z0-9-]+\.[a-z0-9.-]+", asset.body))
        assert named <= {b"http://www.w3.org"}, name  # the name space of SVG, which is never asked for


def test_no_script_and_no_style_stands_in_the_page(tags: Tags) -> None:
    assert tags.inline == []
    handlers = [name for _, given in tags.tags for name in given if name.startswith("on") or name == "style"]
    assert handlers == []


def test_data_never_becomes_markup() -> None:
    forbidden = re.compile(rb"\.(innerHTML|outerHTML|insertAdjacentHTML)\b|document\.write|\beval\(|new Function")
    assert {name for name, asset in Assets.packaged().files.items() if forbidden.search(asset.body)} == set()


def test_modules_import_each_other_from_the_same_folder() -> None:
    files = Assets.packaged().files
    imports = {
        (name, imported.decode())
        for name, asset in files.items()
        if name.endswith(".js")
        for imported in re.findall(rb'^import .* from "(.+)";$', asset.body, re.MULTILINE)
    }
    assert len(imports) > 10
    assert {pair for pair in imports if not pair[1].startswith("./") or pair[1][2:] not in files} == set()


def test_the_parts_that_a_reader_and_the_tests_go_by_are_there(tags: Tags) -> None:
    ids = {given.get("id") for _, given in tags.tags}
    head = {"data-as-of", "edition", "mode", "market-time", "stale", "connection", "theme"}
    watchlist = {"search", "sort", "watchlist", "more"}
    chart = {"title", "notice", "readout", "chart", "ranges", "caption", "chart-table", "steps"}
    record = {"versus", "versus-caption", "versus-table", "accuracy", "skill", "models", "runs"}
    assert head | watchlist | chart | record <= ids


@pytest.mark.parametrize(
    "address",
    [
        "/static/dashboard/{digest}/absent.js",
        "/static/dashboard/0000000000000000/main.js",
        "/static/dashboard/{digest}/../../router.py",
        "/static/dashboard/{digest}/..%2f..%2frouter.py",
        "/static/dashboard/{digest}/%2e%2e%2f%2e%2e%2frouter.py",
        "/static/dashboard/{digest}/..%5c..%5crouter.py",
        "/static/dashboard/{digest}//etc/passwd",
        "/static/dashboard/{digest}/%00main.js",
        "/static/dashboard/main.js",
        "/static/plotly-0000000000000000.min.js",
        "/static/plotly-../../plotly.min.js",
        "/static/plotly-.min.js",
    ],
)
def test_what_is_not_there_is_a_problem_document(page_client: TestClient, address: str) -> None:
    answer = page_client.get(address.replace("{digest}", Assets.packaged().digest))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert b"APIRouter" not in answer.content
    assert answer.headers["cache-control"] == "no-store"


def test_plotly_is_the_installed_one(page_client: TestClient) -> None:
    file = PlotlyFile.installed()
    answer = page_client.get(file.address)
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.content == file.path.read_bytes()
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < 1_700_000


def test_plotly_comes_as_it_is_where_gzip_is_not_understood(page_client: TestClient) -> None:
    file = PlotlyFile.installed()
    answer = page_client.get(file.address, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in answer.headers
    assert answer.headers["vary"] == "Accept-Encoding"
    assert len(answer.content) == file.path.stat().st_size


def test_over_loopback_plotly_is_not_packed(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path))
    with TestClient(app, client=("127.0.0.1", 50000)) as client:
        answer = client.get(PlotlyFile.installed().address)
    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers


def test_the_page_says_its_head_without_its_body(page_client: TestClient) -> None:
    answer = page_client.head("/")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-security-policy"] == POLICY


def test_the_page_is_no_part_of_the_interface(page_client: TestClient) -> None:
    paths = page_client.get("/openapi.json").json()["paths"]
    assert "/v1/forecasts/{symbol}" in paths
    assert [path for path in paths if path == "/" or path.startswith("/static")] == []
