"""Security headers on every answer: API, page, documentation, errors; CORS for listed origins alone."""

import asyncio
from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send

from service.api.limits.security_headers import SecurityHeaders
from service.app import create_app
from service.db.session import Database
from service.settings import load_settings
from tests.support.api.client import TestClient

ORIGIN = "https://app.example.com"
SQLITE = pytest.mark.parametrize("filled", ["sqlite"], indirect=True)


@SQLITE
@pytest.mark.parametrize(
    ("path", "status", "cache"),
    [
        ("/v1/status", 200, "no-store"),
        ("/v1/forecasts/AAPL", 200, "private, no-cache"),
        ("/v1/prices/AAPL?format=csv", 200, "private, no-cache"),
        ("/openapi.json", 200, "no-store"),
        ("/docs", 200, "no-cache"),
        ("/", 200, "no-cache"),
        ("/static-offline-docs/swagger-ui.css", 200, "private, no-cache"),
        ("/nowhere", 404, "no-store"),
        ("/v1/forecasts/AAPL?as_of=never", 422, "no-store"),
        ("/v1/runs/999999", 404, "no-store"),
    ],
)
def test_every_answer_has_the_headers(client: TestClient, path: str, status: int, cache: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["cache-control"]) == (status, cache)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline' 'unsafe-eval" not in policy
    script = [part for part in policy.split("; ") if part.startswith("script-src")]
    assert not any("unsafe" in part for part in script)


@SQLITE
def test_an_unchanged_answer_has_them_too(client: TestClient) -> None:
    tag = client.get("/v1/forecasts/AAPL").headers["etag"]
    unchanged = client.get("/v1/forecasts/AAPL", headers={"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.headers["cache-control"]) == (304, "private, no-cache")
    assert unchanged.headers["x-content-type-options"] == "nosniff"


def test_a_large_body_is_sent_in_pieces_and_is_whole() -> None:
    sizes: list[int] = []

    async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a" * 600_000})

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            sizes.append(len(message["body"]) if message.get("more_body") else -len(message["body"]))

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    asyncio.run(SecurityHeaders(application)({"type": "http"}, receive, send))
    assert sizes == [131_072] * 4 + [-75_712]


def test_an_unexpected_error_has_them_too(tmp_path: Path) -> None:
    app = create_app(load_settings({"TPLUS_DATA_DIR": str(tmp_path)}))

    @app.get("/defect")
    def defect() -> None:
        raise RuntimeError("a defect")

    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/defect")
    assert (answer.status_code, answer.headers["cache-control"]) == (500, "no-store")
    assert answer.headers["x-content-type-options"] == "nosniff"


@SQLITE
def test_other_sites_may_not_read_unless_they_are_listed(filled: Database) -> None:
    asks = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    with TestClient(create_app(load_settings({}), filled)) as client:
        assert "access-control-allow-origin" not in client.get("/v1/status", headers={"Origin": ORIGIN}).headers
        assert client.options("/v1/status", headers=asks).status_code == 405
    with TestClient(create_app(load_settings({"TPLUS_CORS_ORIGINS": ORIGIN}), filled)) as client:
        answer = client.get("/v1/status", headers={"Origin": ORIGIN})
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "access-control-allow-credentials" not in answer.headers
        other = client.get("/v1/status", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
        preflight = client.options("/v1/status", headers=asks)
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, ORIGIN)
        assert client.options("/v1/status", headers=asks | {"Origin": "https://evil.example"}).status_code == 400
