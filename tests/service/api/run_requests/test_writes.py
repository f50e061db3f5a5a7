"""Routes that write a run request: answers, idempotency keys, limits, audit, links."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Row, Table, insert, select, update

from service.app import create_app
from service.db.session import Database
from service.db.tables import audit, instruments, model_versions, run_requests, runs
from service.settings import Settings
from service.vocabulary import Scope
from tests.support.api.client import TestClient
from tests.support.api.keys import authorization

PULL = {"job": "pull", "scope": "XNYS"}


def rows(database: Database, table: Table) -> list[Row[Any]]:
    with database.reading() as connection:
        return list(connection.execute(select(table).order_by(table.c.id)).all())


@pytest.fixture
def runner(filled: Database) -> dict[str, str]:
    return authorization(filled, Scope.READ, Scope.RUN)


@pytest.fixture
def admin(filled: Database) -> dict[str, str]:
    return authorization(filled, Scope.ADMIN, Scope.READ, name="admin")


def client_with(database: Database, **settings: Any) -> TestClient:
    return TestClient(create_app(Settings(**settings), database))


def test_a_requested_run_answers_with_its_request_and_writes_nothing_else(
    client: TestClient, filled: Database, runner: dict[str, str]
) -> None:
    before = rows(filled, runs)
    answer = client.post("/v1/runs", json=PULL, headers={**runner, "X-Request-ID": "abc-1"})
    assert answer.status_code == 202, answer.text
    document = answer.json()
    number = document["id"]
    assert answer.headers["location"] == f"/v1/run-requests/{number}"
    assert (document["kind"], document["state"], document["body"]) == ("run", "pending", PULL)
    assert (document["requested_by"], document["runs"], document["reason"]) == ("robot", [], None)
    assert client.get(f"/v1/run-requests/{number}").json() == document
    assert rows(filled, runs) == before
    entry = rows(filled, audit)[-1]
    assert (entry.actor, entry.action, entry.subject) == ("robot", "run_requests.create", str(number))
    assert (entry.request_id, entry.detail) == ("abc-1", {"kind": "run", "body": PULL})


def test_the_same_idempotency_key_gets_the_same_bytes_until_it_expires(
    client: TestClient, filled: Database, runner: dict[str, str]
) -> None:
    headers = {**runner, "Idempotency-Key": "a1b2"}
    first = client.post("/v1/runs", json=PULL, headers=headers)
    with filled.transaction() as connection:
        connection.execute(update(run_requests).values(state="done"))
    json_type = {**headers, "Content-Type": "application/json"}
    again = client.post("/v1/runs", content=b'{"scope" : "XNYS", "job": "pull"}', headers=json_type)
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["location"] == first.headers["location"]
    other = client.post("/v1/runs", json={"job": "score", "scope": "XNYS"}, headers=headers)
    assert other.status_code == 422
    assert other.json()["errors"][0]["parameter"] == "Idempotency-Key"
    assert len(rows(filled, run_requests)) == 1
    before = rows(filled, run_requests)[0].created_at - timedelta(seconds=1)
    with filled.transaction() as connection:
        connection.execute(update(run_requests).values(expires_at=before))
    third = client.post("/v1/runs", json={"job": "score", "scope": "XNYS"}, headers=headers)
    assert (third.status_code, third.json()["id"]) == (202, first.json()["id"] + 1)


def test_an_idempotency_key_belongs_to_its_api_key(
    client: TestClient, filled: Database, runner: dict[str, str], admin: dict[str, str]
) -> None:
    other = authorization(filled, Scope.READ, Scope.RUN, name="other")
    found = [client.post("/v1/runs", json=PULL, headers={**each, "Idempotency-Key": "k"}) for each in (runner, other)]
    assert len({answer.json()["id"] for answer in found}) == 2
    assert client.put("/v1/symbols/NEW", headers={**admin, "Idempotency-Key": "k"}).status_code == 202


def test_concurrent_duplicates_are_one_request(client: TestClient, filled: Database, runner: dict[str, str]) -> None:
    headers = {**runner, "Idempotency-Key": "one"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/runs", json=PULL, headers=headers), range(16)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
    assert len(rows(filled, run_requests)) == 1


@pytest.mark.parametrize("key", ["", "two words", "ä", "x" * 201, "tab\t"])
def test_a_bad_idempotency_key_is_refused(client: TestClient, runner: dict[str, str], key: str) -> None:
    headers = [*runner.items(), ("Idempotency-Key", key.encode("latin-1"))]
    answer = client.post("/v1/runs", json=PULL, headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"job": "pull", "scope": "XTKS2"}, "must be a calendar of the watchlist for pull: "),
        ({"job": "train", "scope": "XNYS"}, "must be a group of the watchlist for train: "),
        ({"job": "backfill", "scope": "XNYS", "first": "2018-06-02", "last": "2018-06-01"}, "first is after last"),
        ({"job": "backfill", "scope": "XNYS", "first": 0, "last": "2018-06-01"}, "must be a date, YYYY-MM-DD"),
        ({"job": "sleep", "scope": "XNYS"}, "must be one of pull, score, forecast, train, backfill"),
        ({"job": "pull", "scope": "X\u0000"}, "must be a name of at most 40"),
        ({"job": "pull", "scope": "XNYS", "force": True}, "is not a parameter of this route"),
        ({"scope": "XNYS"}, "must name a job"),
        ([], "must be"),
    ],
)
def test_a_bad_run_is_refused_with_the_reason(
    client: TestClient, filled: Database, runner: dict[str, str], body: Any, message: str
) -> None:
    answer = client.post("/v1/runs", json=body, headers=runner)
    assert answer.status_code == 422, answer.text
    assert message in answer.json()["detail"]
    assert rows(filled, run_requests) == []


def test_limits_on_pulls_and_open_requests_say_when_to_try_again(filled: Database, runner: dict[str, str]) -> None:
    with client_with(filled, pulls_per_hour=2, max_open_requests=4) as client:
        for _ in range(2):
            assert client.post("/v1/runs", json=PULL, headers=runner).status_code == 202
        pull = client.post("/v1/runs", json=PULL, headers=runner)
        assert pull.status_code == 429
        assert pull.json()["detail"] == "2 pulls were requested within 1 h, and TPLUS_PULLS_PER_HOUR allows 2"
        assert 3500 <= int(pull.headers["retry-after"]) <= 3601
        for _ in range(2):
            assert client.post("/v1/runs", json={**PULL, "job": "score"}, headers=runner).status_code == 202
        full = client.post("/v1/runs", json={**PULL, "job": "score"}, headers=runner)
    assert full.status_code == 429
    assert "TPLUS_MAX_OPEN_REQUESTS" in full.json()["detail"]


def watched(database: Database) -> list[str]:
    with database.reading() as connection:
        return list(connection.execute(select(instruments.c.symbol).where(instruments.c.active)).scalars())


def test_the_watchlist_has_room_for_so_many(filled: Database, admin: dict[str, str]) -> None:
    symbols = watched(filled)
    with client_with(filled, max_symbols=len(symbols) + 1) as client:
        assert client.put("/v1/symbols/NEW1", headers=admin).status_code == 202
        assert client.put("/v1/symbols/NEW1", headers=admin).status_code == 202  # the same again
        full = client.put("/v1/symbols/NEW2", headers=admin)
        assert client.put(f"/v1/symbols/{symbols[0]}", headers=admin).status_code == 202
    assert full.status_code == 409
    assert "TPLUS_MAX_SYMBOLS" in full.json()["detail"]


def test_symbols_are_added_with_a_body_or_without_and_removed(
    client: TestClient, filled: Database, admin: dict[str, str]
) -> None:
    known = watched(filled)[0]
    assert client.put("/v1/symbols/NEW", headers=admin).json()["body"] == {"symbol": "NEW"}
    chosen = client.put("/v1/symbols/NEW", headers=admin, json={"group": "metals", "calendar": "XLON"})
    assert chosen.json()["body"] == {"symbol": "NEW", "group": "metals", "calendar": "XLON"}
    removal = client.delete(f"/v1/symbols/{known.lower()}", headers=admin)
    assert removal.json()["body"] == {"symbol": known}
    assert client.delete("/v1/symbols/NOPE", headers=admin).status_code == 404
    assert client.put("/v1/symbols/a%00b", headers=admin).status_code == 422
    assert client.put("/v1/symbols/NEW", headers=admin, json={"group": "Metals"}).status_code == 422
    assert client.put("/v1/symbols/NEW", headers=admin, json={"group": "x", "other": 1}).status_code == 422


def test_model_requests(client: TestClient, filled: Database, admin: dict[str, str]) -> None:
    version = rows(filled, model_versions)[0].id
    body = {"reason": "known in crises"}
    for action in ("promote", "pin", "unpin"):
        answer = client.post(f"/v1/models/{version}/{action}", headers=admin, json=body)
        assert (answer.status_code, answer.json()["kind"]) == (202, f"models.{action}")
        assert answer.json()["body"] == {"version": version, **body}
        assert client.post(f"/v1/models/99999/{action}", headers=admin, json=body).status_code == 404
        assert client.post(f"/v1/models/{version}/{action}", headers=admin).status_code == 422
        for reason in ("", "x" * 501, "two\nlines", "nul\x00"):
            refused = client.post(f"/v1/models/{version}/{action}", headers=admin, json={"reason": reason})
            assert refused.status_code == 422
    rollback = {"group": "equity", "strategy": "multi_step", **body}
    assert client.post("/v1/rollbacks", headers=admin, json=rollback).json()["kind"] == "models.rollback"
    assert client.get(f"/v1/models/{version}").json()["pinned_at"] is None


def test_requests_are_listed_in_pages_and_by_state(
    client: TestClient, filled: Database, runner: dict[str, str]
) -> None:
    first, second, third = (client.post("/v1/runs", json=PULL, headers=runner).json()["id"] for _ in range(3))
    with filled.transaction() as connection:
        done = update(run_requests).where(run_requests.c.id == second)
        connection.execute(done.values(state="done", result={"runs": [41], "note": "a note"}))
    page = client.get("/v1/run-requests?limit=2").json()
    assert [item["id"] for item in page["items"]] == [third, second]
    assert page["items"][1]["runs"] == [{"id": 41, "href": "/v1/runs/41"}]
    assert page["items"][1]["note"] == "a note"
    following = client.get(f"/v1/run-requests?limit=2&cursor={page['next_cursor']}").json()
    assert [item["id"] for item in following["items"]] == [first]
    assert [item["id"] for item in client.get("/v1/run-requests?state=pending").json()["items"]] == [third, first]
    assert client.get("/v1/run-requests?state=lost").status_code == 422
    assert client.get("/v1/run-requests/99").status_code == 404


def test_below_a_root_path_the_addresses_have_it(filled: Database, runner: dict[str, str]) -> None:
    with client_with(filled, root_path="/tplus") as client:
        answer = client.post("/tplus/v1/runs", json=PULL, headers=runner)
        assert answer.headers["location"] == f"/tplus/v1/run-requests/{answer.json()['id']}"
        assert client.get(answer.headers["location"]).status_code == 200


def test_a_run_of_a_backfill_shows_its_parameters(client: TestClient, filled: Database) -> None:
    instant = rows(filled, runs)[0].scheduled_for
    values = {"job": "backfill", "scope": "XNYS", "scheduled_for": instant, "sequence": 0, "state": "due", "attempt": 0}
    parameters = {"first": "2018-01-02", "last": "2018-06-29", "symbols": []}
    with filled.transaction() as connection:
        connection.execute(insert(runs).values(id=900, **values, token=0, counts={}, parameters=parameters))
    assert client.get("/v1/runs?job=backfill").json()["items"][0]["parameters"] == parameters


def test_an_instant_of_the_first_year_has_four_digits(client: TestClient, filled: Database) -> None:
    symbol = watched(filled)[0]
    answer = client.get(f"/v1/forecasts/{symbol}?known_at=0001-01-01T00:00:00Z")
    assert "was known at 0001-01-01T00:00:00Z" in answer.json()["detail"]
