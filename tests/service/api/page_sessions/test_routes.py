"""Signing in and out over HTTP: the cookie, its renewal, and which pages may write by it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any

import pytest
from sqlalchemy import select, update

from service.access.keys import NewKey, create_key, revoke_key
from service.access.page_sessions import LIFETIME
from service.api.access.authenticate import KEPT_SECONDS
from service.app import create_app
from service.db.session import Database
from service.db.tables import audit, page_sessions
from service.settings import Settings
from service.vocabulary import Scope
from tests.support.api.client import TestClient

NOW = datetime(2026, 11, 27, tzinfo=UTC)
HOST = "http://localhost"


class Closed:
    """A client of an application with closed reads, and its clock."""

    def __init__(self, client: TestClient, database: Database) -> None:
        self.client, self.database = client, database
        self.seconds = 0.0
        client.app.state.authenticator._clock = lambda: self.seconds  # type: ignore[attr-defined]

    def key(self, *scopes: Scope, name: str = "notebook") -> tuple[int, str]:
        with self.database.transaction() as connection:
            key, token = create_key(connection, NewKey(name, frozenset(scopes or Scope)), NOW)
        return key.id, token

    def sign_in(self, *scopes: Scope) -> int:
        key_id, token = self.key(*scopes)
        assert self.client.post("/v1/session", json={"key": token}).status_code == 200
        return key_id


@pytest.fixture
def closed(filled: Database) -> Iterator[Closed]:
    with TestClient(create_app(Settings(open_reads=False), filled), base_url=HOST) as client:
        yield Closed(client, filled)


def cookies(answer: Any) -> SimpleCookie:
    return SimpleCookie(answer.headers.get("set-cookie", ""))


def test_a_key_is_swapped_for_a_cookie_that_opens_the_reads(closed: Closed) -> None:
    assert closed.client.get("/v1/status").status_code == 401
    assert closed.client.get("/v1/session").json() == {
        "signed_in": False, "name": None, "scopes": [], "expires_at": None, "renew_at": None, "open_reads": False,
    }  # fmt: skip
    _, token = closed.key(Scope.READ, Scope.RUN)
    answer = closed.client.post("/v1/session", json={"key": token})
    assert answer.headers["cache-control"] == "no-store"
    assert token not in answer.text
    made = answer.json()
    assert (made["signed_in"], made["name"], made["scopes"]) == (True, "notebook", ["read", "run"])
    (cookie,) = cookies(answer).values()
    assert (cookie.key, cookie["path"], cookie["max-age"]) == ("tplus_session", "/", "43200")
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"], cookie["domain"]) == (True, "strict", "", "")
    assert closed.client.get("/v1/status").status_code == 200
    shown = closed.client.get("/v1/session").json()
    assert (shown["name"], shown["expires_at"]) == ("notebook", made["expires_at"])
    with closed.database.reading() as connection:
        row = connection.execute(select(audit).order_by(audit.c.id.desc())).first()
    assert row is not None
    assert (row.action, row.actor, row.request_id) == ("session.create", "notebook", answer.headers["x-request-id"])


def test_the_key_may_be_in_the_header(closed: Closed) -> None:
    _, token = closed.key(Scope.READ)
    assert closed.client.post("/v1/session", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert closed.client.get("/v1/status").status_code == 200


@pytest.mark.parametrize(
    ("url", "root_path", "name"),
    [
        ("https://localhost", "", "__Host-tplus_session"),
        ("https://localhost", "/tplus", "__Secure-tplus_session"),
        ("http://localhost", "/tplus", "tplus_session"),
    ],
)
def test_the_cookie_is_as_narrow_as_it_can_be(filled: Database, url: str, root_path: str, name: str) -> None:
    app = create_app(Settings(open_reads=False, root_path=root_path), filled)
    with TestClient(app, base_url=url) as client:
        _, token = Closed(client, filled).key()
        answer = client.post("/v1/session", json={"key": token})
        (cookie,) = cookies(answer).values()
        assert (cookie.key, cookie["path"], cookie["secure"]) == (name, root_path or "/", url[4] == "s" or "")
        client.cookies.clear()
        for given in {"tplus_session", name}:
            status = client.get("/v1/status", headers={"Cookie": f"{given}={cookie.value}"}).status_code
            assert status == (200 if given == name else 401)


BAD_BODIES: list[tuple[Any, int]] = [
    ({"key": "tplus_" + "a" * 43}, 401),
    ({"key": "a\x00b"}, 401),
    ({"key": ""}, 401),
    ({"key": "x" * 201}, 422),
    ({"key": 7}, 422),
    ({"key": None}, 422),
    ({"kye": "tplus_hidden"}, 422),
    ("tplus_hidden", 422),
    (["tplus_hidden"], 422),
    (None, 401),
]


def test_a_bad_key_is_refused_and_never_repeated(closed: Closed) -> None:
    for body, status in BAD_BODIES:
        answer = closed.client.post("/v1/session", json=body)
        assert answer.status_code == status, body
        assert "set-cookie" not in answer.headers
        assert "hidden" not in answer.text
        assert "xxxx" not in answer.text


def test_signing_out_ends_the_session_at_once(closed: Closed) -> None:
    closed.sign_in()
    held = closed.client.cookies["tplus_session"]
    assert closed.client.delete("/v1/session", headers={"Origin": HOST}).status_code == 204
    assert "tplus_session" not in closed.client.cookies
    assert closed.client.get("/v1/status", headers={"Cookie": f"tplus_session={held}"}).status_code == 401
    assert closed.client.delete("/v1/session", headers={"Origin": HOST}).status_code == 401


def test_signing_in_again_ends_the_former_session(closed: Closed) -> None:
    closed.sign_in()
    held = closed.client.cookies["tplus_session"]
    _, token = closed.key(Scope.READ, name="other")
    assert closed.client.post("/v1/session", json={"key": token}).json()["name"] == "other"
    closed.client.cookies.clear()
    assert closed.client.get("/v1/status", headers={"Cookie": f"tplus_session={held}"}).status_code == 401


def test_a_revoked_key_ends_its_sessions_within_half_a_second(closed: Closed) -> None:
    key_id = closed.sign_in()
    assert closed.client.get("/v1/status").status_code == 200
    with closed.database.transaction() as connection:
        revoke_key(connection, key_id, NOW)
    closed.seconds = KEPT_SECONDS
    assert closed.client.get("/v1/status").status_code == 401


def test_a_session_is_renewed_when_it_is_half_way(closed: Closed) -> None:
    closed.sign_in()
    old = closed.client.cookies["tplus_session"]
    assert "set-cookie" not in closed.client.get("/v1/session").headers
    at = datetime.now(UTC) - timedelta(hours=6, seconds=1)
    with closed.database.transaction() as connection:
        connection.execute(update(page_sessions).values(signed_in_at=at, created_at=at, expires_at=at + LIFETIME))
    closed.seconds += KEPT_SECONDS
    answer = closed.client.get("/v1/session")
    assert cookies(answer)["tplus_session"].value not in ("", old)
    assert "set-cookie" not in closed.client.get("/v1/session").headers
    closed.client.cookies.clear()
    closed.seconds += KEPT_SECONDS
    assert closed.client.get("/v1/status", headers={"Cookie": f"tplus_session={old}"}).status_code == 200
    with closed.database.transaction() as connection:
        passed = update(page_sessions).where(page_sessions.c.ended_at.is_not(None))
        connection.execute(passed.values(ended_at=datetime.now(UTC)))
    closed.seconds += KEPT_SECONDS
    assert closed.client.get("/v1/status", headers={"Cookie": f"tplus_session={old}"}).status_code == 401


OWN = [
    {"Origin": HOST},
    {"Origin": "https://localhost", "Host": "localhost"},  # a proxy ended TLS
    {"Origin": "http://LOCALHOST:80"},
    {"Origin": HOST, "Sec-Fetch-Site": "same-origin"},
    {"Referer": HOST + "/?s=AAPL"},
]
FOREIGN = [
    {},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://localhost:8000"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://evil@localhost.evil.example"},
    {"Origin": "http://[localhost"},
    {"Origin": "file://localhost"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "https://evil.example", "Referer": HOST + "/"},
    {"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"},
    {"Origin": HOST, "Sec-Fetch-Site": "cross-site"},
    {"Origin": HOST, "Sec-Fetch-Site": "same-site"},
    {"Referer": "https://evil.example/?" + HOST},
]


def test_only_the_own_page_writes_by_the_cookie(closed: Closed) -> None:
    closed.sign_in()
    for headers in FOREIGN:
        refused = closed.client.delete("/v1/session", headers=headers)
        assert refused.status_code == 403, headers
        assert "only this service's own page" in refused.text or "needs the header Origin" in refused.text
        assert closed.client.get("/v1/status").status_code == 200
    _, token = closed.key()
    for headers in OWN:
        assert closed.client.delete("/v1/session", headers=headers).status_code == 204, headers
        assert closed.client.post("/v1/session", json={"key": token}).status_code == 200


def test_another_page_cannot_sign_a_browser_in(closed: Closed) -> None:
    _, token = closed.key()
    refused = closed.client.post("/v1/session", json={"key": token}, headers={"Origin": "https://evil.example"})
    assert refused.status_code == 403
    assert "set-cookie" not in refused.headers


def test_over_https_a_page_over_http_is_foreign(filled: Database) -> None:
    app = create_app(Settings(open_reads=False, root_path="/tplus"), filled)
    with TestClient(app, base_url="https://localhost") as client:
        _, token = Closed(client, filled).key()
        path = "/tplus/v1/session"
        assert client.post(path, json={"key": token}).status_code == 200
        assert client.delete(path, headers={"Origin": HOST}).status_code == 403
        assert client.delete(path, headers={"Referer": "https://localhost/other/"}).status_code == 403
        assert client.delete(path, headers={"Referer": "https://localhost/tplus/?s=A"}).status_code == 204


def test_behind_a_trusted_proxy_its_host_counts(closed: Closed) -> None:
    closed.client.app.state.trusts_proxies = True  # type: ignore[attr-defined]
    closed.sign_in()
    headers = {"Origin": "https://tplus.example", "X-Forwarded-Host": "tplus.example"}
    assert closed.client.delete("/v1/session", headers={**headers, "Origin": "https://evil.example"}).status_code == 403
    assert closed.client.delete("/v1/session", headers=headers).status_code == 204


def test_an_ended_cookie_does_not_close_open_reads(filled: Database) -> None:
    with TestClient(create_app(Settings(), filled)) as client:
        client.cookies["tplus_session"] = "a" * 43
        assert client.get("/v1/status").status_code == 200
        shown = client.get("/v1/session").json()
        assert (shown["signed_in"], shown["scopes"], shown["open_reads"]) == (False, ["read"], True)
