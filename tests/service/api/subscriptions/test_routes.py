"""The API of alert subscriptions: added by an admin, never shown in full, removed and tested."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from service.access.keys import NewKey, create_key
from service.app import create_app
from service.db.session import Database
from service.db.tables import audit
from service.settings import Settings
from service.vocabulary import Scope
from tests.support.alert_factory import deliveries
from tests.support.api.client import TestClient
from tests.support.api.ledger_factory import NOW

TARGET = "https://93.184.215.14/hook/hidden?token=hidden"
BODY: dict[str, Any] = {"name": "night shift", "kinds": ["source_down"], "target": TARGET}


class Client:
    """A client of the API with a key of all scopes, over a filled database."""

    def __init__(self, database: Database, folder: Path, *scopes: Scope) -> None:
        self.database = database
        self._http = TestClient(create_app(Settings(data_dir=folder), database))
        with database.transaction() as connection:
            token = create_key(connection, NewKey("robot", frozenset(scopes or Scope)), NOW)[1]
        self._headers = {"Authorization": f"Bearer {token}"}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        return self._http.request(method, f"/v1/subscriptions{path}", json=body, headers=self._headers)

    def add(self, **changes: Any) -> Any:
        return self.call("POST", "", {**BODY, **changes})


@pytest.fixture
def client(filled: Database, tmp_path: Path) -> Client:
    return Client(filled, tmp_path / "data")


def test_the_secret_is_shown_once_and_the_target_never(client: Client) -> None:
    created = client.add()
    assert created.status_code == 201
    assert created.headers["location"] == "/v1/subscriptions/1"
    document = created.json()
    secret = document.pop("secret")
    assert secret.startswith("whsec_")
    assert document["target_shown"] == "https://93.184.215.14/..."
    found = client.call("GET", "/1")
    assert found.json() == document
    assert document["kinds"] == ["source_down"]
    assert (document["scope_kind"], document["scope"], document["interval"]) == ("all", None, 95)
    for answer in (created, found, client.call("GET", "")):
        assert "hidden" not in answer.text
    assert secret not in found.text


def test_a_repeated_request_adds_no_second_subscription(client: Client) -> None:
    assert client.add(kinds=["source_down", "width_jumped"]).status_code == 201
    again = client.add(kinds=["width_jumped", "source_down"])
    assert again.status_code == 409
    assert again.json()["detail"].startswith("subscription 1 has the same name, kinds, scope, interval and address;")
    assert client.add(kinds=["source_down", "width_jumped"], name="day shift").status_code == 201
    assert client.call("DELETE", "/1").status_code == 204
    assert client.add(kinds=["source_down", "width_jumped"]).status_code == 201
    assert [item["id"] for item in client.call("GET", "").json()["items"]] == [3, 2]


def test_pages_are_newest_first(client: Client) -> None:
    for name in ("one", "two", "three"):
        client.add(name=name)
    page = client.call("GET", "?limit=2").json()
    assert [item["name"] for item in page["items"]] == ["three", "two"]
    rest = client.call("GET", f"?limit=2&cursor={page['next_cursor']}").json()
    assert [item["name"] for item in rest["items"]] == ["one"]
    assert rest["next_cursor"] is None


def test_a_removed_subscription_is_gone(client: Client) -> None:
    client.add()
    assert client.call("POST", "/1/test").status_code == 202
    removed = client.call("DELETE", "/1")
    assert (removed.status_code, removed.content) == (204, b"")
    for method, path in (("GET", "/1"), ("DELETE", "/1"), ("POST", "/1/test")):
        assert client.call(method, path).status_code == 404
    assert client.call("GET", "").json()["items"] == []
    assert [row.state for row in deliveries(client.database)] == ["dropped"]


def test_a_test_is_a_delivery_like_others(client: Client) -> None:
    client.add()
    answer = client.call("POST", "/1/test").json()
    (row,) = deliveries(client.database)
    assert answer == {"message_id": row.message_id, "state": "pending"}
    assert row.kind == "test"
    assert client.call("GET", "/1").json()["pending"] == 1


def test_every_write_has_its_audit_row_without_secrets(client: Client) -> None:
    secret = client.add().json()["secret"]
    client.call("POST", "/1/test")
    client.call("DELETE", "/1")
    with client.database.reading() as connection:
        rows = connection.execute(select(audit).order_by(audit.c.id)).all()
    written = [(row.actor, row.action, row.subject) for row in rows if row.action.startswith("alerts.")]
    assert written == [
        ("robot", "alerts.add", "subscription 1"),
        ("robot", "alerts.test", "subscription 1"),
        ("robot", "alerts.remove", "subscription 1"),
    ]
    assert "hidden" not in str(rows)
    assert secret not in str(rows)


@pytest.mark.parametrize(
    ("changes", "parameter", "sentence"),
    [
        ({"kinds": []}, "kinds", "must have at least 1 items"),
        ({"kinds": ["test"]}, "kinds", ""),
        ({"kinds": ["source_down"] * 8}, "kinds", "must have at most 7 items"),
        ({"name": ""}, "name", ""),
        ({"name": "a\x00b"}, "name", "control characters"),
        ({"interval": 90}, "interval", ""),
        ({"symbol": "ZZZZ"}, "symbol", "there is no symbol ZZZZ"),
        ({"group": "nothing"}, "group", "there is no group nothing"),
        ({"symbol": "AAPL", "group": "equity"}, "symbol", "together with group"),
        ({"target": "http://93.184.215.14/"}, "target", "webhooks need https"),
        ({"target": "https://127.0.0.1/"}, "target", "a loopback address"),
        ({"target": "https://169.254.169.254/latest"}, "target", "a link-local address"),
        ({"target": "https://name.invalid/"}, "target", "does not resolve"),
        ({"target": "file:///etc/passwd"}, "target", "alerts cannot go to file://"),
        ({"target": "https://93.184.215.14/hid\x00den"}, "target", "printable ASCII"),
        ({"target": ["https://hidden"]}, "target", "must be text"),
        ({"target": "https://93.184.215.14/\x00"}, "target", "printable ASCII"),
        ({"more": 1}, "more", ""),
    ],
)
def test_bad_input_names_the_parameter(client: Client, changes: dict[str, Any], parameter: str, sentence: str) -> None:
    answer = client.add(**changes)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert problem["errors"][0]["parameter"] == parameter
    assert sentence in problem["detail"]
    assert "hidden" not in answer.text
    assert client.call("GET", "").json()["items"] == []


def test_a_scope_is_stored(client: Client) -> None:
    assert client.add(symbol="aapl", interval=80).json()["scope"] == "AAPL"
    assert client.add(group="equity").json()["scope_kind"] == "group"


def test_adding_needs_admin_and_a_test_needs_run(filled: Database, tmp_path: Path) -> None:
    reader = Client(filled, tmp_path, Scope.READ)
    runner = Client(filled, tmp_path, Scope.READ, Scope.RUN)
    admin = Client(filled, tmp_path, Scope.READ, Scope.ADMIN)
    assert [each.add().status_code for each in (reader, runner, admin)] == [403, 403, 201]
    assert [each.call("POST", "/1/test").status_code for each in (reader, admin, runner)] == [403, 403, 202]
    assert [each.call("DELETE", "/1").status_code for each in (reader, runner, admin)] == [403, 403, 204]


def test_without_a_key_file_the_answer_names_no_path(filled: Database, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    answer = Client(filled, tmp_path / "data").add()
    assert answer.status_code == 503
    assert "no usable key file" in answer.json()["detail"]
    assert str(tmp_path) not in answer.text
