"""History, prices, symbols, models, runs, accuracy: their items, filters and pages."""

from datetime import date
from typing import Any

import pytest

from service.db.session import Database
from tests.support.api.client import TestClient
from tests.support.api.ledger_factory import (
    FRIDAY,
    LSTM,
    THURSDAY,
    WALK,
    Publish,
    add_action,
    add_bars,
    add_record,
    add_score,
    at,
    publish,
)


def get(client: TestClient, path: str, **params: Any) -> dict[str, Any]:
    answer = client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def all_pages(client: TestClient, path: str, **params: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    for _ in range(100):
        page = get(client, path, **params, **cursor)
        assert len(page["items"]) <= params["limit"]
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}
    raise AssertionError("the pages do not end")


def test_history_has_the_published_forecasts(client: TestClient) -> None:
    items = get(client, "/v1/forecasts/AAPL/history")["items"]
    assert sorted((item["as_of"], item["strategy"], item["step"], item["forecaster"]) for item in items) == [
        ("2018-05-31", "multi_step", 1, "lstm"),
        ("2018-05-31", "multi_step", 2, "lstm"),
        ("2018-05-31", "multi_step", 3, "lstm"),
        ("2018-05-31", "one_step", 1, "random_walk"),
        ("2018-06-01", "multi_step", 1, "lstm"),
        ("2018-06-01", "multi_step", 2, "lstm"),
        ("2018-06-01", "multi_step", 3, "lstm"),
        ("2018-06-01", "one_step", 1, "random_walk"),
    ]
    assert [item["as_of"] for item in items] == ["2018-06-01"] * 4 + ["2018-05-31"] * 4
    assert all(item["served"] and item["outcome"]["state"] == "pending" for item in items)


def test_history_of_one_forecaster_or_of_all(client: TestClient) -> None:
    walk = get(client, "/v1/forecasts/AAPL/history", forecaster="random_walk")["items"]
    assert {(item["strategy"], item["served"]) for item in walk} == {("multi_step", False), ("one_step", True)}
    assert len(get(client, "/v1/forecasts/AAPL/history", forecaster="all")["items"]) == 16
    one = get(client, "/v1/forecasts/AAPL/history", forecaster="all", strategy="multi_step", step=2)["items"]
    assert {(item["step"], item["forecaster"]) for item in one} == {(2, "lstm"), (2, "random_walk")}
    assert get(client, "/v1/forecasts/AAPL/history", mode="live")["items"] == []


def test_a_pending_outcome_over_an_unresolved_break_has_its_reason(client: TestClient, filled: Database) -> None:
    reason = "unresolved break: the close of 2018-06-01 is held back, see `tplus quarantine list`"
    no_figures = dict.fromkeys(("actual", "pinball", "error", "inside_50", "inside_80", "inside_95"))
    with filled.transaction() as connection:
        add_score(connection, 1, LSTM, 1, state="pending", reason=reason, **no_figures)
    items = get(client, "/v1/forecasts/AAPL/history", strategy="multi_step", forecaster="lstm")["items"]
    (outcome,) = [item["outcome"] for item in items if (item["as_of"], item["step"]) == ("2018-05-31", 1)]
    assert (outcome["state"], outcome["reason"], outcome["revision"], outcome["actual"]) == ("pending", reason, 1, None)


def test_history_has_the_newest_outcome(client: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:
        add_score(connection, 1, LSTM, 1)
        add_score(connection, 1, LSTM, 1, revision=2, actual=0.02, error=0.01, inside_50=False, pinball=0.004)
        add_score(connection, 1, LSTM, 2, state="void", reason="no bar within 5 sessions", actual=None, pinball=None,
                  error=None, inside_50=None, inside_80=None, inside_95=None)  # fmt: skip
    items = get(client, "/v1/forecasts/AAPL/history", strategy="multi_step", forecaster="lstm")["items"]
    outcome = {(item["as_of"], item["step"]): item["outcome"] for item in items}
    scored = outcome["2018-05-31", 1]
    assert (scored["state"], scored["revision"], scored["actual"], scored["pinball"]) == ("scored", 2, 0.02, 0.004)
    assert (scored["inside_50"], scored["inside_80"], scored["inside_95"]) == (False, True, True)
    void = outcome["2018-05-31", 2]
    assert (void["state"], void["reason"], void["actual"]) == ("void", "no bar within 5 sessions", None)
    assert outcome["2018-05-31", 3]["state"] == "pending"


def test_history_marks_superseded_revisions(client: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:
        publish(connection, Publish(4, FRIDAY, at(FRIDAY, 23), revision=2))
        publish(connection, Publish(5, THURSDAY, at(FRIDAY, 23), mode="backfill", revision=2))
    items = get(client, "/v1/forecasts/AAPL/history", strategy="one_step")["items"]
    assert {item["edition"]: item["superseded"] for item in items} == {4: False, 2: True, 5: True, 1: False}


def test_history_pages_have_each_forecast_once(client: TestClient) -> None:
    items = all_pages(client, "/v1/forecasts/AAPL/history", forecaster="all", limit=3)
    assert items == get(client, "/v1/forecasts/AAPL/history", forecaster="all")["items"]


def test_prices_are_adjusted_for_later_actions(client: TestClient, filled: Database) -> None:
    days = [date(2018, 5, 21), date(2018, 5, 22), date(2018, 5, 23)]
    with filled.transaction() as connection:
        add_bars(connection, "IBM", dict(zip(days, (50.0, 40.0, 44.0), strict=True)))
        add_action(connection, "IBM", days[1], "dividend", 5.0)  # 10 % of the close before
        add_action(connection, "IBM", days[2], "factor", 0.5)
    page = get(client, "/v1/prices/IBM")
    assert (page["currency"], page["calendar"], page["basis"]) == ("USD", "XNYS", 0)
    assert [(item["session"], item["close"], item["adjusted_close"]) for item in page["items"]] == [
        ("2018-05-23", 44.0, 44.0),
        ("2018-05-22", 40.0, pytest.approx(20.0)),
        ("2018-05-21", 50.0, pytest.approx(22.5)),  # 50 x 0.9 x 0.5
    ]
    assert all_pages(client, "/v1/prices/IBM", limit=1) == page["items"]
    middle = get(client, "/v1/prices/IBM", first="2018-05-22", last="2018-05-22")["items"]
    assert [(item["session"], item["adjusted_close"]) for item in middle] == [("2018-05-22", pytest.approx(20.0))]


def test_a_reversed_span_is_refused(client: TestClient) -> None:
    answer = client.get("/v1/prices/IBM", params={"first": "2018-05-23", "last": "2018-05-22"})
    assert answer.status_code == 422
    assert "first is 2018-05-23, which is after last=2018-05-22" in answer.json()["detail"]


def test_a_symbol_without_bars_has_an_empty_page(client: TestClient) -> None:
    assert get(client, "/v1/prices/MSFT")["items"] == []


def test_symbols_by_activity_and_group(client: TestClient) -> None:
    items = get(client, "/v1/symbols")["items"]
    assert [item["symbol"] for item in items] == ["AAPL", "BTC-USD", "IBM", "MSFT", "SPY"]
    assert (items[4]["active"], items[4]["reference"], items[4]["state"]) == (False, True, "ok")
    assert [item["symbol"] for item in get(client, "/v1/symbols", active="false")["items"]] == ["SPY"]
    assert [item["symbol"] for item in get(client, "/v1/symbols", group="crypto")["items"]] == ["BTC-USD"]
    assert all_pages(client, "/v1/symbols", limit=2) == items


def test_models_by_status_strategy_and_group(client: TestClient) -> None:
    items = get(client, "/v1/models")["items"]
    assert [item["id"] for item in items] == [4, 3, 2, 1]
    assert items[3]["metrics"]["test_pinball"] == 38.5
    assert [item["id"] for item in get(client, "/v1/models", status="champion")["items"]] == [3, 1]
    champions = get(client, "/v1/models", status="champion", strategy="multi_step", group="equity")["items"]
    assert [item["id"] for item in champions] == [1]
    assert get(client, "/v1/models", group="crypto")["items"] == []
    assert all_pages(client, "/v1/models", limit=3) == items


def test_a_model_has_its_decisions(client: TestClient) -> None:
    model = get(client, "/v1/models/1")
    assert (model["forecaster"], model["specs"], model["seeds"]) == ("lstm", {"units": 48}, [0, 1, 2])
    assert [(d["status"], d["reason"], d["figures"]) for d in model["decisions"]] == [
        ("champion", "beats the walk", {"p": 0.01})
    ]
    assert get(client, f"/v1/models/{WALK}")["decisions"] == []


def test_runs_by_job_scope_and_state(client: TestClient) -> None:
    items = get(client, "/v1/runs")["items"]
    assert [(item["id"], item["job"]) for item in items] == [(3, "forecast"), (2, "pull"), (1, "forecast")]
    assert [item["id"] for item in get(client, "/v1/runs", job="forecast")["items"]] == [3, 1]
    assert get(client, "/v1/runs", scope="24/7")["items"] == []
    assert len(get(client, "/v1/runs", scope="XNYS", state="done")["items"]) == 3
    assert all_pages(client, "/v1/runs", limit=1) == items


def test_a_run_has_its_outcomes_in_pages(client: TestClient) -> None:
    run = get(client, "/v1/runs/1")
    assert [(item["symbol"], item["state"]) for item in run["outcomes"]] == [("AAPL", "issued"), ("MSFT", "issued")]
    first = get(client, "/v1/runs/1", limit=1)
    second = get(client, "/v1/runs/1", limit=1, cursor=first["next_cursor"])
    assert [item["symbol"] for item in first["outcomes"] + second["outcomes"]] == ["AAPL", "MSFT"]
    assert second["next_cursor"] is None


def test_track_records_by_scope_strategy_and_mode(client: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:
        add_record(connection, "equity", "multi_step", 1, scope_kind="group", forecaster="lstm")
    page = get(client, "/v1/accuracy")
    assert "under-represented" in page["note"]
    assert len(page["items"]) == 5
    group = get(client, "/v1/accuracy", scope="equity")["items"]
    assert [(item["scope_kind"], item["forecaster"], item["n"]) for item in group] == [("group", "lstm", 100)]
    one = get(client, "/v1/accuracy", scope="AAPL", strategy="one_step", step=1, forecaster="served", mode="replay")
    assert [(item["n"], item["skill"], item["coverage_80"]) for item in one["items"]] == [(30, None, 0.8)]
    assert get(client, "/v1/accuracy", mode="live")["items"] == []
    assert all_pages(client, "/v1/accuracy", limit=2) == page["items"]
