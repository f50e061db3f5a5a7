"""GET /v1/watchlist: short lines that agree with the forecast route, in every order, updated after changes."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from service.api.common.pagination import encode
from service.app import create_app
from service.db.change_counters import raise_changes
from service.db.session import Database
from service.db.tables import change_counters, instruments, run_outcomes, runs, stamp
from service.settings import Settings
from tests.support.api.client import TestClient
from tests.support.api.ledger_factory import (
    FRIDAY,
    MONDAY,
    Publish,
    add_action,
    add_bars,
    add_instrument,
    add_record,
    at,
    move_clock,
    publish,
)


def get(client: TestClient, **params: Any) -> dict[str, Any]:
    answer = client.get("/v1/watchlist", params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def symbols(client: TestClient, **params: Any) -> list[str]:
    return [item["symbol"] for item in get(client, **params)["items"]]


def item(client: TestClient, symbol: str) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [item for item in get(client)["items"] if item["symbol"] == symbol]
    return found


def test_a_line_has_the_newest_forecast_in_short(client: TestClient) -> None:
    line = item(client, "AAPL")
    steps = line.pop("steps")
    assert line == {
        "symbol": "AAPL", "name": "AAPL Inc.", "group": "equity", "calendar": "XNYS", "currency": "USD", "state": "ok",
        "state_reason": None, "last_session": "2018-06-01", "as_of": "2018-06-01", "last_close": 100.0, "stale": False,
        "served_by": "lstm", "skill": {"value": pytest.approx(0.1), "n": 100},
        "coverage_80": {"measured": pytest.approx(0.8), "n": 100}, "closes": [99.0, 100.0], "missed": None,
    }  # fmt: skip
    # exp(0.01), exp(-0.04), exp(0.04): the factory's quantiles at T.
    assert steps[0] == {
        "step": 1, "label": "T", "target_session": "2018-06-04", "point": pytest.approx(101.005017, abs=1e-6),
        "lower_80": pytest.approx(96.078944, abs=1e-6), "upper_80": pytest.approx(104.081077, abs=1e-6),
        "change": pytest.approx(0.01005017, abs=1e-8),
    }  # fmt: skip
    assert [(step["label"], step["target_session"]) for step in steps[1:]] == [
        ("T+1", "2018-06-05"),
        ("T+2", "2018-06-06"),
    ]


def test_a_page_counts_symbols(client: TestClient) -> None:
    page = get(client)
    assert (page["total"], page["matching"], page["next_cursor"]) == (4, 4, None)
    assert [line["symbol"] for line in page["items"]] == ["AAPL", "BTC-USD", "IBM", "MSFT"]  # and not SPY


def test_symbols_are_in_the_order_in_which_they_were_added(client: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:
        for position, symbol in enumerate(("MSFT", "AAPL", "BTC-USD", "IBM"), 1):
            connection.execute(update(instruments).where(instruments.c.symbol == symbol).values(position=position))
        raise_changes(connection, ["MSFT", "AAPL", "BTC-USD", "IBM"])
    assert symbols(client) == ["MSFT", "AAPL", "BTC-USD", "IBM"]
    assert symbols(client, order="desc") == ["IBM", "BTC-USD", "AAPL", "MSFT"]
    first = get(client, limit=2)
    assert [*(line["symbol"] for line in first["items"]), *symbols(client, cursor=first["next_cursor"])] == symbols(
        client
    )
    assert symbols(client, sort="symbol") == ["AAPL", "BTC-USD", "IBM", "MSFT"]


def test_a_symbol_without_a_forecast_has_a_line(client: TestClient) -> None:
    line = item(client, "MSFT")
    assert (line["as_of"], line["last_close"], line["served_by"], line["steps"]) == (None, None, None, [])
    assert (line["stale"], line["skill"], line["coverage_80"]) == (
        False,
        {"value": None, "n": 0},
        {"measured": None, "n": 0},
    )


def test_prices_are_those_of_the_forecast_route(client: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:
        add_action(connection, "AAPL", MONDAY, "dividend", 0.5)
        add_action(connection, "AAPL", date(2018, 6, 5), "split", 2.0)
        connection.execute(update(instruments).where(instruments.c.symbol == "AAPL").values(basis=1))
        raise_changes(connection, ["AAPL"])
    for symbol in ("AAPL", "IBM", "BTC-USD"):
        line, answer = item(client, symbol), client.get(f"/v1/forecasts/{symbol}").json()
        served = answer["multi_step"]
        assert [(step["point"], step["lower_80"], step["upper_80"]) for step in line["steps"]] == [
            (step["point"], step["intervals"][1]["lower"], step["intervals"][1]["upper"]) for step in served["steps"]
        ]
        assert (line["last_close"], line["as_of"]) == (answer["last_close"], answer["as_of"])
        assert line["skill"] == {"value": served["skill"]["value"], "n": served["skill"]["n"]}
    # 100 exp(0.01) less 0.5 a new share, which is 1 a share of the forecast's basis.
    assert item(client, "AAPL")["steps"][0]["point"] == pytest.approx(100.005017, abs=1e-6)


def test_a_line_has_the_last_30_closes_up_to_its_newest_session(client: TestClient, filled: Database) -> None:
    start = date(2018, 3, 1).toordinal()
    with filled.transaction() as connection:
        add_bars(connection, "IBM", {date.fromordinal(start + day): 50.0 + day for day in range(90)})
        halted = update(instruments).where(instruments.c.symbol == "IBM")
        connection.execute(halted.values(last_session=date(2018, 5, 29)))
        raise_changes(connection, ["IBM"])
    # 2018-05-29 is day 89, so the last of thirty closes is 139.
    assert item(client, "IBM")["closes"] == [float(close) for close in range(110, 140)]
    assert item(client, "AAPL")["closes"] == [99.0, 100.0]
    assert item(client, "MSFT")["closes"] == []


def test_the_search_is_by_symbol_and_name_in_any_letter_case(client: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:
        named = update(instruments).where(instruments.c.symbol == "IBM").values(name="International Business Machines")
        connection.execute(named)
        raise_changes(connection, ["IBM"])
    assert symbols(client, q="business") == ["IBM"]
    assert symbols(client, q="bTc") == ["BTC-USD"]
    page = get(client, q="inc.", limit=1)
    assert (page["total"], page["matching"], len(page["items"])) == (4, 3, 1)
    assert get(client, q="nothing of the kind")["matching"] == 0


@pytest.fixture
def unequal(filled: Database) -> None:
    """IBM at 50 with a smaller rise; only IBM and AAPL have skill; MSFT has no forecast."""
    with filled.transaction() as connection:
        publish(connection, Publish(4, FRIDAY, at(FRIDAY, 23), ("IBM",), revision=2, last_close=50.0))
        for step in (1, 2, 3):
            add_record(connection, "IBM", "multi_step", step, pinball=0.0033, skill=-0.1)
        add_action(connection, "IBM", MONDAY, "dividend", 1.0)
        raise_changes(connection, ["IBM"])


@pytest.mark.usefixtures("unequal")
@pytest.mark.parametrize(
    ("sort", "order", "expected"),
    [
        ("symbol", "asc", ["AAPL", "BTC-USD", "IBM", "MSFT"]),
        ("symbol", "desc", ["MSFT", "IBM", "BTC-USD", "AAPL"]),
        ("change", "asc", ["IBM", "AAPL", "BTC-USD", "MSFT"]),
        ("change", "desc", ["AAPL", "BTC-USD", "IBM", "MSFT"]),
        ("last_close", "asc", ["IBM", "AAPL", "BTC-USD", "MSFT"]),
        ("last_close", "desc", ["AAPL", "BTC-USD", "IBM", "MSFT"]),
        ("skill", "asc", ["IBM", "AAPL", "BTC-USD", "MSFT"]),
        ("skill", "desc", ["AAPL", "IBM", "BTC-USD", "MSFT"]),
        ("width", "desc", ["AAPL", "BTC-USD", "IBM", "MSFT"]),
    ],
)
def test_every_order_puts_lines_without_a_value_last_and_pages_hold_each_once(
    client: TestClient, sort: str, order: str, expected: list[str]
) -> None:
    assert symbols(client, sort=sort, order=order) == expected
    paged: list[str] = []
    cursor: dict[str, str] = {}
    for _ in expected:
        page = get(client, sort=sort, order=order, limit=1, **cursor)
        paged += [line["symbol"] for line in page["items"]]
        cursor = {"cursor": page["next_cursor"]}
    assert paged == expected
    assert cursor == {"cursor": None}


def test_a_cursor_of_another_order_is_refused(client: TestClient) -> None:
    cursor = get(client, sort="change", limit=1)["next_cursor"]
    answer = client.get("/v1/watchlist", params={"sort": "width", "cursor": cursor})
    assert answer.status_code == 404
    assert "there is no page of this cursor" in answer.json()["detail"]


@pytest.mark.parametrize("value", ["nan", "inf", "wide"])
def test_a_cursor_without_a_number_is_refused(client: TestClient, value: str) -> None:
    cursor = encode("watchlist change asc", value, "AAPL")
    answer = client.get("/v1/watchlist", params={"sort": "change", "cursor": cursor})
    assert answer.status_code == 404
    assert "there is no page of this cursor" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("limit", "0"), ("limit", "201"), ("sort", "luck"), ("order", "up"), ("q", "x" * 101), ("s", "")],
)
def test_an_invalid_parameter_is_refused(client: TestClient, name: str, value: str) -> None:
    answer = client.get("/v1/watchlist", params={name: value})
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, name)


def test_a_line_is_stale_after_its_due_time(client: TestClient, filled: Database) -> None:
    move_clock(filled, datetime(2018, 6, 3, 2, 0, 1, tzinfo=UTC))
    assert {line["symbol"]: line["stale"] for line in get(client)["items"]} == {
        "AAPL": False, "BTC-USD": True, "IBM": False, "MSFT": False,
    }  # fmt: skip


def test_a_missed_forecast_is_shown_until_the_next_forecast(client: TestClient, filled: Database) -> None:
    assert item(client, "AAPL")["missed"] is None
    with filled.transaction() as connection:
        row = {"job": "forecast", "scope": "XNYS", "sequence": 0, "attempt": 1, "token": 1, "counts": {}}
        connection.execute(
            insert(runs).values(
                id=20, scheduled_for=at(MONDAY, 21, 30), session=MONDAY, state="done", finished_at=at(MONDAY, 22), **row
            )
        )
        outcomes = [
            {"run_id": 20, "symbol": "AAPL", "state": "missed", "reason": "T opened before this could be issued"},
            {"run_id": 20, "symbol": "IBM", "state": "issued", "reason": None},
            {"run_id": 20, "symbol": "MSFT", "state": "missed", "reason": "no bar of 2018-06-04 came"},
        ]
        connection.execute(insert(run_outcomes), outcomes)
    assert item(client, "AAPL")["missed"] == "no forecast as of 2018-06-04: T opened before this could be issued"
    assert item(client, "MSFT")["missed"] == "no forecast as of 2018-06-04: no bar of 2018-06-04 came"
    assert item(client, "IBM")["missed"] is None
    with filled.transaction() as connection:
        publish(connection, Publish(4, MONDAY, at(FRIDAY, 23), targets=(MONDAY, MONDAY, MONDAY)))
    assert item(client, "AAPL")["missed"] is None


def test_changes_are_seen_immediately(client: TestClient, filled: Database) -> None:
    get(client)
    with filled.transaction() as connection:
        publish(connection, Publish(4, FRIDAY, at(FRIDAY, 23), revision=2, last_close=200.0))
        add_instrument(connection, "NEW")
        connection.execute(update(instruments).where(instruments.c.symbol == "IBM").values(active=False))
    assert [(line["symbol"], line["last_close"]) for line in get(client)["items"]] == [
        ("AAPL", 200.0), ("BTC-USD", 100.0), ("MSFT", None), ("NEW", None),
    ]  # fmt: skip
    with filled.transaction() as connection:  # a first pull that fails raises no counter
        failing = update(instruments).where(instruments.c.symbol == "NEW")
        connection.execute(failing.values(state="failing", state_reason="timed out"))
    assert (item(client, "NEW")["state"], item(client, "NEW")["state_reason"]) == ("failing", "timed out")


def test_a_replaced_database_with_equal_counters_is_read_again(client: TestClient, filled: Database) -> None:
    answer = client.get("/v1/watchlist")
    with filled.transaction() as connection:
        before = connection.execute(select(change_counters)).mappings().all()
        publish(connection, Publish(4, FRIDAY, at(FRIDAY, 23), revision=2, last_close=200.0))
        connection.execute(update(stamp).values(created_at=at(MONDAY, 0)))
        connection.execute(delete(change_counters))
        connection.execute(insert(change_counters), [dict(row) for row in before])
    again = client.get("/v1/watchlist", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 200
    assert again.json()["items"][0]["last_close"] == 200.0


def test_an_unchanged_answer_is_not_sent_again(client: TestClient, filled: Database) -> None:
    tag = client.get("/v1/watchlist").headers["ETag"]
    held = {"If-None-Match": tag}
    assert client.get("/v1/watchlist", headers=held).status_code == 304
    assert client.get("/v1/watchlist", params={"q": "a"}, headers=held).status_code == 200
    with filled.transaction() as connection:
        connection.execute(update(instruments).where(instruments.c.symbol == "MSFT").values(state="failing"))
    assert client.get("/v1/watchlist", headers=held).status_code == 200


def test_more_symbols_than_one_statement_allows(filled: Database) -> None:
    with filled.transaction() as connection:
        for number in range(1200):
            add_instrument(connection, f"X{number:04d}")
        publish(connection, Publish(4, FRIDAY, at(FRIDAY, 23), ("X0000", "X0600", "X1199"), last_close=7.0))
    with TestClient(create_app(Settings(), filled)) as client:
        page = get(client, sort="last_close", limit=4)
    assert (page["total"], [line["symbol"] for line in page["items"]]) == (1204, ["X0000", "X0600", "X1199", "AAPL"])
