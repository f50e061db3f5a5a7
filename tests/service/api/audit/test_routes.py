"""GET /v1/audit: for administrators, newest first, in pages."""

from datetime import UTC, datetime

import pytest

from service import audit
from service.access.keys import NewKey, create_key
from service.audit import AuditEntry
from service.db.session import Database
from service.vocabulary import Scope
from tests.support.api.client import TestClient

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


@pytest.fixture
def admin(client: TestClient, filled: Database) -> TestClient:
    with filled.transaction() as connection:
        token = create_key(connection, NewKey("boss", frozenset({Scope.ADMIN, Scope.READ})), NOW)[1]
        for number in range(5):
            entry = AuditEntry(
                "symbols.add", f"S{number}", {"n": number}, "boss" if number % 2 else "command line", "r1"
            )
            audit.record(connection, entry, NOW)
        audit.record(connection, AuditEntry("keys.create", "boss"), NOW)
    client.headers["Authorization"] = f"Bearer {token}"
    return client


def test_entries_are_listed_in_pages(admin: TestClient) -> None:
    first = admin.get("/v1/audit?limit=4").json()
    assert [item["subject"] for item in first["items"]] == ["boss", "S4", "S3", "S2"]
    assert first["items"][1] == {
        "id": 5, "at": "2026-11-27T12:00:00Z", "actor": "command line", "action": "symbols.add", "subject": "S4",
        "detail": {"n": 4}, "request_id": "r1",
    }  # fmt: skip
    rest = admin.get("/v1/audit", params={"limit": 4, "cursor": first["next_cursor"]}).json()
    assert ([item["subject"] for item in rest["items"]], rest["next_cursor"]) == (["S1", "S0"], None)


def test_entries_are_filtered(admin: TestClient) -> None:
    by = admin.get("/v1/audit?actor=command%20line&action=symbols.add").json()["items"]
    assert [item["subject"] for item in by] == ["S4", "S2", "S0"]
    assert admin.get("/v1/audit?action=models.promote").json()["items"] == []
    for bad in ("actor=%00", "action=KEYS", "actor=%3Cb%3E"):
        assert admin.get(f"/v1/audit?{bad}").status_code == 422
    assert admin.get("/v1/audit?cursor=WyJydW5zIiw0MV0").status_code in (404, 422)  # a cursor of another route


def test_other_scopes_do_not_read_it(client: TestClient, filled: Database) -> None:
    assert client.get("/v1/audit").status_code == 401
    with filled.transaction() as connection:
        token = create_key(connection, NewKey("x", frozenset({Scope.READ, Scope.RUN})), NOW)[1]
    assert client.get("/v1/audit", headers={"Authorization": f"Bearer {token}"}).status_code == 403
