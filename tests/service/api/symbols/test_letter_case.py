"""A symbol may be given in any letter case, also one that is stored with lower-case letters."""

from typing import Any

import pytest

from service.db.session import Database
from tests.support.api.client import TestClient
from tests.support.api.ledger_factory import FRIDAY, Publish, add_bars, add_instrument, add_record, at, publish


@pytest.fixture
def mixed(filled: Database, client: TestClient) -> TestClient:
    """A client of a database with `Brk-b.x` on the watchlist next to upper-case symbols."""
    with filled.transaction() as connection:
        add_instrument(connection, "Brk-b.x")
        publish(connection, Publish(4, FRIDAY, at(FRIDAY, 22), symbols=("Brk-b.x",)))
        add_bars(connection, "Brk-b.x", {FRIDAY: 100.0})
        add_record(connection, "Brk-b.x", "multi_step", 1)
    return client


def get(client: TestClient, path: str, **params: Any) -> Any:
    answer = client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("given", "stored"),
    [("aapl", "AAPL"), ("Aapl", "AAPL"), ("btc-usd", "BTC-USD"), ("BRK-B.X", "Brk-b.x"), ("brk-b.x", "Brk-b.x")],
)
def test_every_route_of_a_symbol(mixed: TestClient, given: str, stored: str) -> None:
    assert get(mixed, f"/v1/forecasts/{given}")["symbol"] == stored
    assert get(mixed, f"/v1/forecasts/{given}/history")["symbol"] == stored
    assert get(mixed, f"/v1/forecasts/{given}/history")["items"] != []
    assert get(mixed, f"/v1/figures/{given}")["symbol"] == stored
    assert get(mixed, f"/v1/prices/{given}")["symbol"] == stored


def test_a_batch_has_each_symbol_once(mixed: TestClient) -> None:
    page = get(mixed, "/v1/forecasts", symbols="aapl,AAPL,BRK-B.X,brk-b.x,zzzz")
    assert [item["symbol"] for item in page["items"]] == ["AAPL", "Brk-b.x"]
    assert [item["symbol"] for item in page["missing"]] == ["zzzz"]
    first = get(mixed, "/v1/forecasts", symbols="brk-b.x,aapl", limit=1)
    second = get(mixed, "/v1/forecasts", symbols="brk-b.x,aapl", limit=1, cursor=first["next_cursor"])
    assert [item["symbol"] for item in first["items"] + second["items"]] == ["AAPL", "Brk-b.x"]


def test_track_records_by_symbol_in_any_case(mixed: TestClient) -> None:
    items = get(mixed, "/v1/accuracy", scope="BRK-B.X")["items"]
    assert [item["scope"] for item in items] == ["Brk-b.x"]
    assert len(get(mixed, "/v1/accuracy", scope="aapl")["items"]) == 4


def test_the_same_spelling_comes_first(mixed: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:
        add_instrument(connection, "aapl")
        add_instrument(connection, "equity")
        add_bars(connection, "aapl", {FRIDAY: 7.0})
    assert get(mixed, "/v1/prices/aapl")["items"][0]["close"] == 7.0
    assert get(mixed, "/v1/prices/AAPL")["items"][0]["close"] == 100.0
    assert get(mixed, "/v1/prices/aApl")["items"][0]["close"] == 100.0  # `AAPL` comes before `aapl`
    assert get(mixed, "/v1/prices/aApl")["symbol"] == "AAPL"


def test_an_unknown_symbol_is_named_as_given(mixed: TestClient) -> None:
    assert mixed.get("/v1/prices/zzzz").json()["detail"] == "there is no symbol zzzz; see /v1/symbols"
