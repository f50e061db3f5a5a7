"""Every error is a problem document with a request id; bad input never causes an internal error."""

import json
import re
import sqlite3
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.engine import make_url

from service.api.common.pagination import decode, encode
from service.app import create_app
from service.db.migrate import upgrade
from service.db.session import Database
from service.errors import NotFound
from service.settings import Settings
from tests.support.api.client import TestClient

FIELDS = {"type", "title", "status", "detail", "instance", "request_id"}

PATHS = (
    "/v1/forecasts",
    "/v1/forecasts/AAPL",
    "/v1/forecasts/AAPL/history",
    "/v1/prices/AAPL",
    "/v1/symbols",
    "/v1/models",
    "/v1/models/1",
    "/v1/runs",
    "/v1/runs/1",
    "/v1/accuracy",
)
NAMES = (
    "symbols", "as_of", "known_at", "cursor", "limit", "first", "last", "group", "active", "strategy", "status", "job",
    "scope", "state", "step", "forecaster", "mode",
)  # fmt: skip


def refused(client: TestClient, path: str, status: int, **params: Any) -> dict[str, Any]:
    answer = client.get(path, params=params)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body.keys() >= FIELDS
    assert (body["status"], body["request_id"]) == (status, answer.headers["x-request-id"])
    return body


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'bare.db'}")
    yield database
    database.close()


@pytest.mark.parametrize("path", ["/v1/forecasts/ZZZZ", "/v1/forecasts/ZZZZ/history", "/v1/prices/ZZZZ"])
def test_an_unknown_symbol_is_not_found(client: TestClient, path: str) -> None:
    body = refused(client, path, 404)
    assert body["detail"] == "there is no symbol ZZZZ; see /v1/symbols"
    assert body["instance"] == path


def test_unknown_ids_are_not_found(client: TestClient) -> None:
    assert "no model version 99" in refused(client, "/v1/models/99", 404)["detail"]
    assert "no run 9223372036854775807" in refused(client, f"/v1/runs/{2**63 - 1}", 404)["detail"]


def test_an_unknown_route_is_not_found(client: TestClient) -> None:
    assert "the route does not exist" in refused(client, "/v1/nothing", 404)["detail"]


def test_a_wrong_method_is_refused(client: TestClient) -> None:
    answer = client.post("/v1/symbols")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.json().keys() >= FIELDS
    assert answer.json()["detail"] == "POST is not permitted here; this route permits GET and HEAD"


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/healthz", "/v1/forecasts/AAPL", "/v1/events",
                                  "/static-offline-docs/swagger-ui.css", "/static/dashboard/0/main.js"])  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_every_route_names_the_methods_it_permits(client: TestClient, path: str, method: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.json()["detail"] == f"{method} is not permitted here; this route permits GET and HEAD"


@pytest.mark.parametrize(
    ("path", "parameter", "value"),
    [
        ("/v1/forecasts/AAPL", "as_of", "2018-13-01"),
        ("/v1/forecasts/AAPL", "as_of", "1527811200"),
        ("/v1/forecasts/AAPL", "known_at", "2018-06-01T21:40:00"),
        ("/v1/forecasts/AAPL", "known_at", "9999-12-31T23:59:59-23:59"),
        ("/v1/forecasts", "symbols", "AAPL,BAD SYMBOL"),
        ("/v1/forecasts", "symbols", "A\0"),
        ("/v1/forecasts", "symbols", ",,"),
        ("/v1/forecasts", "symbols", ",".join(f"S{n}" for n in range(501))),
        ("/v1/forecasts", "limit", "501"),
        ("/v1/forecasts", "limit", "0"),
        ("/v1/forecasts", "cursor", "!!"),
        ("/v1/forecasts/AAPL/history", "step", "4"),
        ("/v1/forecasts/AAPL/history", "step", "9" * 400),
        ("/v1/forecasts/AAPL/history", "strategy", "recursive"),
        ("/v1/symbols", "active", "perhaps"),
        ("/v1/runs", "job", "pull\0"),
        ("/v1/accuracy", "mode", "future"),
    ],
)
def test_bad_input_names_the_parameter(client: TestClient, path: str, parameter: str, value: str) -> None:
    body = refused(client, path, 422, **{parameter: value})
    assert parameter in body["detail"]
    assert body["errors"][0]["parameter"] == parameter


@pytest.mark.parametrize(
    ("path", "cursor"),
    [
        ("/v1/forecasts/AAPL/history", encode("prices", date(2018, 6, 1))),
        ("/v1/forecasts/AAPL/history", encode("history", date(2018, 6, 1), 2**63)),
        ("/v1/symbols", encode("symbols", "\ud800")),
    ],
)
def test_a_cursor_of_another_route_has_no_page(client: TestClient, path: str, cursor: str) -> None:
    assert refused(client, path, 404, cursor=cursor)["detail"].startswith("there is no page of this cursor;")


@pytest.mark.parametrize("path", ["/v1/forecasts/-A", "/v1/prices/A%00", "/v1/forecasts/" + "A" * 41, "/v1/runs/x",
                                  "/v1/models/0", f"/v1/runs/{2**63}"])  # fmt: skip
def test_bad_paths_are_bad_input(client: TestClient, path: str) -> None:
    refused(client, path, 422)


def test_a_valid_request_id_of_the_client_is_kept(client: TestClient) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert client.get("/healthz", headers={"X-Request-ID": "a b" * 50}).headers["x-request-id"] != "a b" * 50
    body = client.get("/v1/forecasts/ZZZZ", headers={"X-Request-ID": "mine-2"}).json()
    assert body["request_id"] == "mine-2"


def test_an_empty_database_is_not_ready(bare: Database) -> None:
    with TestClient(create_app(Settings(), bare)) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        for path in ("/readyz", "/v1/forecasts/AAPL", "/v1/symbols"):
            body = refused(client, path, 503)
            assert "has no tables yet, this version needs" in body["detail"]
            assert int(client.get(path).headers["retry-after"]) > 0


def test_a_database_at_another_migration_is_not_ready(filled: Database) -> None:
    with filled.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '1000a'"))
    with TestClient(create_app(Settings(), filled)) as client:
        assert "(migration 1000a) and cannot be upgraded" in refused(client, "/readyz", 503)["detail"]


def test_a_migrated_database_without_data_is_ready_but_has_no_answers(bare: Database) -> None:
    upgrade(bare)
    with TestClient(create_app(Settings(), bare)) as client:
        assert client.get("/readyz").json()["newest_edition"] is None
        assert "tplus up" in refused(client, "/v1/forecasts/AAPL", 503)["detail"]


def test_a_database_that_cannot_be_opened_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text("not a database, but long enough to be read as the header of a database" * 20)
    database = Database(f"sqlite:///{tmp_path / 'no.db'}")
    with TestClient(create_app(Settings(), database)) as client:
        assert "cannot be reached" in refused(client, "/readyz", 503)["detail"]
        assert "cannot be reached" in refused(client, "/v1/forecasts/AAPL", 503)["detail"]


PRIVATE = re.compile(r"secret-host|127\.0\.0\.1|hidden|keeper|ledger_name|sqlite|postgres|\.db|/tmp|:1\b")


@pytest.mark.parametrize("path", ["/readyz", "/v1/forecasts/AAPL", "/v1/status", "/v1/symbols", "/v1/ledger"])
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://keeper:hidden@127.0.0.1:1/ledger_name", "connection refused"),
        ("postgresql://keeper:hidden@secret-host.invalid/ledger_name", "its host is unknown"),
        ("sqlite:////tmp", "unable to open database file"),
    ],
)
def test_an_answer_never_names_the_databases_place(
    url: str, reason: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(url)
    with TestClient(create_app(Settings(), database)) as client:
        body = refused(client, path, 503)
    database.close()
    assert f"the database cannot be reached ({reason})" in body["detail"]
    assert PRIVATE.search(json.dumps({**body, "request_id": ""})) is None
    shown = database.engine.url.render_as_string(hide_password=True)
    assert f"the database {shown} cannot be reached" in caplog.text
    assert "hidden" not in caplog.text


def test_the_login_of_a_real_server_is_not_named(postgres_url: str) -> None:
    url = make_url(postgres_url)
    for wrong, reason in (
        (url.set(password="hidden"), "its login was refused"),
        (url.set(database="ledger_name"), "its login or its name is unknown"),
    ):
        database = Database(wrong.render_as_string(hide_password=False))
        with TestClient(create_app(Settings(), database)) as client:
            detail = refused(client, "/readyz", 503)["detail"]
        database.close()
        assert detail == f"the database cannot be reached ({reason}); start it or check TPLUS_DATABASE_URL"


@pytest.mark.parametrize("found", [None, "1000a", "1002", "9001"])
def test_another_migration_is_reported_without_the_url(filled: Database, found: str | None) -> None:
    with filled.transaction() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
        if found is not None:
            connection.execute(text("INSERT INTO alembic_version VALUES (:found)"), {"found": found})
    with TestClient(create_app(Settings(), filled)) as client:
        detail = refused(client, "/readyz", 503)["detail"]
    assert detail.startswith("the database ")
    assert PRIVATE.search(detail) is None


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)  # PostgreSQL refuses such a row
def test_an_internal_error_shows_no_trace(filled: Database) -> None:
    path = str(filled.engine.url.database)
    with sqlite3.connect(path) as raw:  # a value that breaks the schema
        raw.execute("UPDATE model_versions SET seeds = 'not json' WHERE id = 1")
    raw.close()
    with TestClient(create_app(Settings(), filled), raise_server_exceptions=False) as client:
        answer = client.get("/v1/models")
    assert answer.status_code == 500
    assert "Traceback" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_readiness_reports_freshness(client: TestClient) -> None:
    ready = client.get("/readyz").json()
    assert (ready["status"], ready["clock"], ready["source"]) == ("ready", "replay", "sample")
    assert (ready["market_time"], ready["newest_as_of"]) == ("2018-06-02T00:00:00Z", "2018-06-01")


def test_the_openapi_document_declares_routes_examples_and_problems(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    operations = [
        (path, each)
        for path, methods in document["paths"].items()
        for name, each in methods.items()
        if name != "parameters"
    ]
    for path, operation in operations:
        assert operation["summary"], path
        assert operation["description"], path
        for parameter in operation.get("parameters", []):
            assert parameter["name"] == "id" or parameter["description"], (path, parameter["name"])
        if path.startswith("/v1"):
            bad = operation["responses"]["422"]["content"]
            assert bad == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    schemas = document["components"]["schemas"]
    assert set(schemas["Problem"]["required"]) == FIELDS
    assert schemas["ForecastAnswer"]["properties"]["symbol"]["examples"] == ["AAPL"]
    text_of_it = json.dumps(document)
    for reference in {part.split('"')[0] for part in text_of_it.split("#/components/schemas/")[1:]}:
        assert reference in schemas
    assert client.get("/docs").status_code == 200
    assert '<a href="/docs">' in client.get("/").text


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")))
def test_an_invalid_cursor_is_refused(garbage: str) -> None:
    with pytest.raises(NotFound, match="no page of this cursor"):
        decode("history", garbage, date, int)


@given(st.dates(), st.integers(0, 2**63 - 1))
def test_a_cursor_decodes_to_its_keys(day: date, number: int) -> None:
    assert decode("history", encode("history", day, number), date, int) == (day, number)


@hypothesis_settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(PATHS),
    st.dictionaries(st.sampled_from(NAMES), st.text(max_size=30) | st.integers().map(str), max_size=4),
)
def test_bad_input_never_causes_an_internal_error(client: TestClient, path: str, params: dict[str, str]) -> None:
    clean = {name: value.encode("utf-8", "replace").decode() for name, value in params.items()}
    assert client.get(path, params=clean).status_code < 500


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["forecasts", "prices", "models", "runs"]), st.binary(min_size=1, max_size=30))
def test_bad_paths_never_cause_an_internal_error(client: TestClient, resource: str, raw: bytes) -> None:
    quoted = "".join(f"%{byte:02x}" for byte in raw)
    assert client.get(f"/v1/{resource}/{quoted}").status_code < 500


@pytest.mark.parametrize(
    ("path", "name"),
    [("/v1/prices/AAPL", "from"), ("/v1/accuracy", "symbol"), ("/v1/symbols", "foo"), ("/v1/models/1", "limit")],
)
def test_a_parameter_that_the_route_does_not_have_is_refused(client: TestClient, path: str, name: str) -> None:
    body = refused(client, path, 422, **{name: "2012-09-30"})
    assert f"Unknown parameter: {name}" in body["detail"]
    assert body["errors"][0]["parameter"] == name


def test_a_parameter_given_twice_is_refused(client: TestClient) -> None:
    answer = client.get("/v1/forecasts?as_of=2018-06-01&as_of=2018-06-04")
    assert answer.status_code == 422
    assert "more than once" in answer.text


def test_a_job_that_does_not_exist_is_refused(client: TestClient) -> None:
    body = refused(client, "/v1/runs", 422, job="foo")
    assert body["errors"][0]["parameter"] == "job"
