"""Which request is let in: by its key, the key's scopes, and open reads."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from service.access.keys import NewKey, create_key, revoke_key
from service.api.access.authenticate import Authenticator
from service.api.access.require import AdminAccess, ReadAccess, RunAccess
from service.api.common.dependencies import Reader
from service.api.common.errors import add_error_handlers
from service.db.session import Database
from service.settings import Settings
from service.vocabulary import Scope

EVER = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.fixture
def seconds() -> list[float]:
    """The time that the cache of keys sees."""
    return [0.0]


@pytest.fixture
def client(database: Database, seconds: list[float]) -> Iterator[TestClient]:
    app = FastAPI()
    app.state.authenticator = Authenticator(Reader(Settings(), database), lambda: seconds[0])
    app.state.open_reads = True
    app.state.trusts_proxies = False
    add_error_handlers(app, database)

    @app.get("/read")
    def read(principal: ReadAccess) -> str:
        return principal.name

    @app.post("/run")
    def run(principal: RunAccess) -> str:
        return principal.name

    @app.post("/admin")
    def admin(principal: AdminAccess) -> str:
        return principal.name

    yield TestClient(app)
    app.state.authenticator.close()


def key(database: Database, *scopes: Scope, expires_at: datetime | None = None) -> tuple[int, dict[str, str]]:
    with database.transaction() as connection:
        stored, token = create_key(connection, NewKey("robot", frozenset(scopes), expires_at), EVER)
    return stored.id, {"Authorization": f"Bearer {token}"}


def test_reads_without_a_key_are_open_or_refused_by_setting(client: TestClient) -> None:
    assert client.get("/read").json() == "anonymous"
    client.app.state.open_reads = False  # type: ignore[attr-defined]
    refused = client.get("/read")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert "needs a key with scope read" in refused.json()["detail"]


@pytest.mark.parametrize("path", ["/run", "/admin"])
def test_writes_need_a_key_everywhere(client: TestClient, path: str) -> None:
    assert client.post(path).status_code == 401


@pytest.mark.parametrize(("path", "scope"), [("/run", Scope.RUN), ("/admin", Scope.ADMIN)])
def test_a_write_needs_its_scope(client: TestClient, database: Database, path: str, scope: Scope) -> None:
    others = [other for other in Scope if other is not scope]
    assert client.post(path, headers=key(database, scope)[1]).json() == "robot"
    refused = client.post(path, headers=key(database, *others)[1])
    assert refused.status_code == 403
    assert f"lacks the scope {scope}" in refused.json()["detail"]


@pytest.mark.parametrize("value", ["Bearer tplus_unknown", "Bearer ", "Basic eDp5", "Bearer " + "a" * 5000])
def test_a_bad_key_is_refused_although_reads_are_open(client: TestClient, value: str) -> None:
    assert client.get("/read", headers={"Authorization": value}).status_code == 401


def test_an_expired_key_is_refused(client: TestClient, database: Database) -> None:
    _, headers = key(database, Scope.READ, expires_at=EVER + timedelta(days=-1))
    assert client.get("/read", headers=headers).status_code == 401


def test_a_revoked_key_is_refused_within_half_a_second(
    client: TestClient, database: Database, seconds: list[float]
) -> None:
    key_id, headers = key(database, Scope.READ)
    assert client.get("/read", headers=headers).status_code == 200
    with database.transaction() as connection:
        revoke_key(connection, key_id, EVER)
    seconds[0] = 0.49
    assert client.get("/read", headers=headers).status_code == 200
    seconds[0] = 0.5
    assert client.get("/read", headers=headers).status_code == 401
