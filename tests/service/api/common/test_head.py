"""HEAD is answered as GET, without a body, on every route."""

import http.client
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.api.client import TestClient
from tests.support.dashboard.server import serving

PATHS = ("/", "/docs", "/openapi.json", "/healthz", "/readyz", "/v1/status", "/v1/forecasts", "/v1/forecasts/AAPL",
         "/v1/forecasts/AAPL/history", "/v1/figures/AAPL", "/v1/prices/AAPL", "/v1/symbols", "/v1/watchlist",
         "/v1/models", "/v1/models/1", "/v1/runs", "/v1/runs/1", "/v1/run-requests",
         "/v1/ledger", "/v1/accuracy")  # fmt: skip


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
def test_every_route_answers_head_as_get(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    documented = {path.format(symbol="AAPL", id=1) for path, methods in paths.items() if "get" in methods}
    # An endless stream, see below; what changes with every request; and what needs a key or a row that is not there.
    assert documented - set(PATHS) == {
        "/v1/events", "/metrics", "/v1/audit", "/v1/session", "/v1/run-requests/1", "/v1/subscriptions",
        "/v1/subscriptions/1",
    }  # fmt: skip
    for path in PATHS:
        get, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (200, b""), path
        for name in ("content-type", "content-length", "etag", "content-security-policy"):
            assert head.headers.get(name) == get.headers.get(name), (path, name)


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
def test_head_of_an_error_has_its_status(client: TestClient) -> None:
    unknown = client.head("/v1/forecasts/ZZZZ")
    assert (unknown.status_code, unknown.content) == (404, b"")
    assert unknown.headers["content-type"] == "application/problem+json"
    assert client.head("/v1/nothing").status_code == 404
    held = client.get("/v1/forecasts/AAPL").headers["etag"]
    assert client.head("/v1/forecasts/AAPL", headers={"If-None-Match": held}).status_code == 304


def test_a_real_server_sends_no_body_and_keeps_the_connection(filled_file: Path, tmp_path: Path) -> None:
    (tmp_path / "filled.db").write_bytes(filled_file.read_bytes())
    with serving(tmp_path / "filled.db") as server:
        address = urlsplit(server.url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
        for path in (
            "/v1/status",
            "/v1/events",
            "/v1/prices/AAPL?format=csv",
            "/v1/prices/ZZZZ?format=csv",
            "/healthz",
        ):
            connection.request("HEAD", path)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (404 if "ZZZZ" in path else 200, b""), path
        connection.request("GET", "/healthz")  # on the same connection: no byte of a body is left in it
        assert connection.getresponse().read() == b'{"status":"ok"}'
        connection.close()
