"""The forecast routes: the edition of an answer, its prices, and the message if there is none."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import update

from service.app import create_app
from service.clock import process_now
from service.db.session import Database
from service.db.tables import instruments, sessions, stamp
from service.settings import Settings
from tests.support.api.client import TestClient
from tests.support.api.ledger_factory import (
    FRIDAY,
    LSTM,
    MONDAY,
    THURSDAY,
    TUESDAY,
    Publish,
    add_action,
    add_record,
    at,
    move_clock,
    publish,
)


def publish_into(database: Database, edition: Publish) -> None:
    with database.transaction() as connection:
        publish(connection, edition)


def test_the_newest_forecast(client: TestClient) -> None:
    answer = client.get("/v1/forecasts/AAPL").json()
    assert (answer["symbol"], answer["currency"], answer["calendar"], answer["group"]) == (
        "AAPL",
        "USD",
        "XNYS",
        "equity",
    )
    assert (answer["as_of"], answer["edition"]["number"], answer["mode"]) == ("2018-06-01", 2, "replay")
    assert answer["issued_at"] == "2018-06-01T21:40:00Z"
    assert answer["last_close"] == 100.0
    multi = answer["multi_step"]
    assert multi["served_by"] == {
        "model_version_id": LSTM,
        "forecaster": "lstm",
        "status": "champion",
        "trained_at": "2018-05-31T00:00:00Z",
        "reason": "version 1 is champion",
    }
    assert [(step["label"], step["target_session"]) for step in multi["steps"]] == [
        ("T", "2018-06-04"),
        ("T+1", "2018-06-05"),
        ("T+2", "2018-06-06"),
    ]
    # 100 exp(0.01 k): the median is 1 % a step.
    assert [step["point"] for step in multi["steps"]] == pytest.approx([101.005017, 102.020134, 103.045453])
    assert multi["steps"][1]["median"] == 0.02
    intervals = {item["level"]: item for item in multi["steps"][0]["intervals"]}
    assert list(intervals) == [50, 80, 95]
    assert [item["lower_return"] for item in intervals.values()] == [-0.02, -0.04, -0.06]
    assert [item["upper_return"] for item in intervals.values()] == [0.02, 0.04, 0.06]
    assert [item["lower"] for item in intervals.values()] == pytest.approx([98.019867, 96.078944, 94.176453])
    assert [item["upper"] for item in intervals.values()] == pytest.approx([102.020134, 104.081077, 106.183655])


def test_an_answer_has_the_forecasts_that_were_not_served(client: TestClient) -> None:
    answer = client.get("/v1/forecasts/AAPL").json()
    assert answer["one_step"]["served_by"]["forecaster"] == "random_walk"
    assert [step["label"] for step in answer["one_step"]["steps"]] == ["T"]
    walk = answer["random_walk"]
    assert (walk["strategy"], [step["point"] for step in walk["steps"]]) == ("multi_step", [100.0, 100.0, 100.0])
    assert [(other["strategy"], other["forecaster"], other["status"]) for other in answer["others"]] == [
        ("one_step", "lstm", "challenger")
    ]


def test_the_two_forecasts_of_t_are_compared(client: TestClient) -> None:
    found = client.get("/v1/forecasts/AAPL").json()["disagreement"]
    # LSTM: median 0.01, 80 % from -0.04 to 0.04; the random walk's one step: median 0, from -0.03 to 0.03.
    assert found["target_session"] == "2018-06-04"
    assert found["median"] == pytest.approx(-0.01)
    assert found["in_widths"] == pytest.approx(-0.125)
    assert found["width_ratio"] == pytest.approx(0.75)


def test_the_random_walk_is_shown_if_it_is_served(client: TestClient, filled: Database) -> None:
    served = {"multi_step": 2, "one_step": 3}
    publish_into(filled, Publish(4, FRIDAY, at(FRIDAY, 22), revision=2, served=served))
    answer = client.get("/v1/forecasts/AAPL").json()
    assert answer["multi_step"]["served_by"]["forecaster"] == "random_walk"
    assert answer["random_walk"]["model_version_id"] == 2
    assert [other["forecaster"] for other in answer["others"]] == ["lstm", "lstm"]


def test_freshness(client: TestClient, filled: Database) -> None:
    answer = client.get("/v1/forecasts/AAPL").json()
    assert answer["data_as_of"] == "2018-06-01T21:30:00Z"  # close 20:00 + 90 min
    assert answer["stale_after"] == "2018-06-04T23:30:00Z"  # Monday's close + 90 min + 2 h
    assert answer["next_edition_at"] == "2018-06-04T21:30:00Z"
    move_clock(filled, at(MONDAY, 23, 31))
    later = {"known_at": "2018-06-04T23:31:00Z", "next_edition_at": "2018-06-05T21:30:00Z"}
    assert client.get("/v1/forecasts/AAPL").json() == answer | later


def test_a_closed_session_has_no_due_time(client: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:
        monday = (sessions.c.calendar == "XNYS", sessions.c.session == MONDAY)
        connection.execute(update(sessions).where(*monday).values(state="closed"))
    assert client.get("/v1/forecasts/AAPL").json()["stale_after"] == "2018-06-05T23:30:00Z"


def test_a_continuous_calendar_settles_sooner(client: TestClient) -> None:
    answer = client.get("/v1/forecasts/BTC-USD").json()
    assert answer["data_as_of"] == "2018-06-02T00:00:00Z"  # 23:00 + 60 min
    assert answer["stale_after"] == "2018-06-03T02:00:00Z"


def test_dividends_up_to_the_target_are_subtracted(client: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:
        add_action(connection, "AAPL", FRIDAY, "dividend", 9.0)  # as_of's own: already in its close
        add_action(connection, "AAPL", TUESDAY, "dividend", 0.5)
        add_action(connection, "IBM", MONDAY, "dividend", 7.0)
    steps = client.get("/v1/forecasts/AAPL").json()["multi_step"]["steps"]
    assert [step["dividends"] for step in steps] == [0.0, 0.5, 0.5]
    assert [step["point"] for step in steps] == pytest.approx([101.005017, 101.520134, 102.545453])
    assert steps[1]["intervals"][2]["lower"] == pytest.approx(88.192044)
    assert steps[1]["median"] == 0.02


def test_a_dividend_announced_later_was_not_known_then(client: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:
        add_action(connection, "AAPL", TUESDAY, "dividend", 0.5, fetched_at=at(FRIDAY, 22))
    then = client.get("/v1/forecasts/AAPL", params={"known_at": "2018-06-01T21:59:00Z"}).json()
    assert [step["dividends"] for step in then["multi_step"]["steps"]] == [0.0, 0.0, 0.0]
    now = client.get("/v1/forecasts/AAPL").json()
    assert [step["dividends"] for step in now["multi_step"]["steps"]] == [0.0, 0.5, 0.5]


def test_a_later_split_keeps_the_forecast_on_its_own_basis(client: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:
        add_action(connection, "AAPL", MONDAY, "split", 4.0)
        add_action(connection, "AAPL", TUESDAY, "dividend", 0.25)  # per new share: 1.00 per share of the forecast
        connection.execute(update(instruments).where(instruments.c.symbol == "AAPL").values(basis=1))
    answer = client.get("/v1/forecasts/AAPL").json()
    assert answer["last_close"] == 100.0
    assert (answer["basis"]["forecast"], answer["basis"]["current"], answer["basis"]["split_ratio"]) == (0, 1, 4.0)
    assert "are on basis 0; divide them by 4" in answer["basis"]["note"]
    assert [step["dividends"] for step in answer["multi_step"]["steps"]] == [0.0, 1.0, 1.0]


def test_as_of_selects_the_session(client: TestClient) -> None:
    answer = client.get("/v1/forecasts/AAPL", params={"as_of": "2018-05-31"}).json()
    assert (answer["as_of"], answer["edition"]["number"], answer["last_close"]) == ("2018-05-31", 1, 99.0)
    assert answer["stale_after"] == "2018-06-01T23:30:00Z"


def test_an_as_of_without_forecast_is_not_found(client: TestClient) -> None:
    answer = client.get("/v1/forecasts/AAPL", params={"as_of": "2018-05-30"})
    assert answer.status_code == 404
    assert "no forecast of AAPL as of 2018-05-30" in answer.json()["detail"]


def test_known_at_selects_the_edition_known_then(client: TestClient) -> None:
    def edition(known_at: str) -> int:
        answer = client.get("/v1/forecasts/AAPL", params={"known_at": known_at}).json()
        assert answer["known_at"] == known_at
        number: int = answer["edition"]["number"]
        return number

    assert edition("2018-06-01T21:39:59Z") == 1
    assert edition("2018-06-01T21:40:00Z") == 2
    assert client.get("/v1/forecasts/AAPL", params={"known_at": "2018-05-31T21:39:59Z"}).status_code == 404


def test_a_known_at_after_market_time_is_refused(client: TestClient) -> None:
    answer = client.get("/v1/forecasts/AAPL", params={"known_at": "2018-06-02T00:00:01Z"})
    assert answer.status_code == 422
    assert "known_at is after market time, 2018-06-02T00:00:00Z" in answer.json()["detail"]


def test_the_last_revision_is_used(client: TestClient, filled: Database) -> None:
    publish_into(filled, Publish(4, FRIDAY, at(FRIDAY, 23), revision=2, last_close=101.0))
    answer = client.get("/v1/forecasts/AAPL").json()
    assert (answer["edition"]["number"], answer["last_close"]) == (4, 101.0)
    before = client.get("/v1/forecasts/AAPL", params={"known_at": "2018-06-01T22:59:59Z"}).json()
    assert (before["edition"]["number"], before["last_close"]) == (2, 100.0)
    assert client.get("/v1/forecasts/IBM").json()["edition"]["number"] == 2


def test_a_backfill_never_replaces_an_edition_on_time(client: TestClient, filled: Database) -> None:
    wednesday = date(2018, 5, 30)
    targets = (THURSDAY, FRIDAY, MONDAY)
    publish_into(filled, Publish(4, THURSDAY, at(FRIDAY, 23), mode="backfill", revision=2, last_close=1.0))
    publish_into(filled, Publish(5, wednesday, at(FRIDAY, 23), mode="backfill", targets=targets))
    answer = client.get("/v1/forecasts/AAPL", params={"as_of": "2018-05-31"}).json()
    assert (answer["edition"]["number"], answer["mode"]) == (1, "replay")
    answer = client.get("/v1/forecasts/AAPL", params={"as_of": "2018-05-30"}).json()
    assert (answer["edition"]["number"], answer["mode"]) == (5, "backfill")
    assert client.get("/v1/forecasts/AAPL").json()["edition"]["number"] == 2


def test_skill_and_coverage(client: TestClient) -> None:
    multi = client.get("/v1/forecasts/AAPL").json()["multi_step"]
    # 1 - 0.0027 / 0.003 on each of the three steps.
    assert multi["skill"] == {"value": pytest.approx(0.1), "n": 100, "kind": "replay", "as_of": "2018-06-01", "p": 0.04}
    assert multi["coverage"] == {
        "n": 100,
        "levels": [
            {"level": 50, "measured": pytest.approx(0.5)},
            {"level": 80, "measured": pytest.approx(0.8)},
            {"level": 95, "measured": pytest.approx(0.95)},
        ],
    }
    assert multi["held_out"] is None


def test_under_sixty_sessions_the_held_out_figures_are_shown(client: TestClient) -> None:
    ibm = client.get("/v1/forecasts/IBM").json()
    assert ibm["multi_step"]["skill"] == {"value": None, "n": 0, "kind": "replay", "as_of": None, "p": None}
    assert ibm["multi_step"]["coverage"] == {"n": 0, "levels": []}
    held_out = ibm["multi_step"]["held_out"]
    assert (held_out["n"], held_out["pinball"], held_out["random_walk_pinball"]) == (500, 38.5, 39.1)
    assert held_out["skill"] == 0.0153
    assert "no track record" in held_out["label"]
    one = client.get("/v1/forecasts/AAPL").json()["one_step"]
    assert (one["skill"]["value"], one["skill"]["n"]) == (None, 30)
    assert one["held_out"] is None  # the random walk has none


def test_track_records_of_other_modes_are_left_out(client: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:
        for step in (1, 2, 3):
            add_record(connection, "IBM", "multi_step", step, mode="backfill", n=250)
    assert client.get("/v1/forecasts/IBM").json()["multi_step"]["skill"]["n"] == 0


def test_a_track_record_measured_later_was_not_known_then(client: TestClient) -> None:
    then = client.get("/v1/forecasts/AAPL", params={"known_at": "2018-06-01T21:29:59Z"}).json()
    assert then["multi_step"]["skill"] == {"value": None, "n": 0, "kind": "replay", "as_of": None, "p": None}


def test_degraded_inputs_are_named(client: TestClient, filled: Database) -> None:
    publish_into(filled, Publish(4, FRIDAY, at(FRIDAY, 23), revision=2, degraded=("^VIX",)))
    assert client.get("/v1/forecasts/AAPL").json()["multi_step"]["steps"][0]["degraded"] == ["^VIX"]
    assert client.get("/v1/forecasts/IBM").json()["multi_step"]["steps"][0]["degraded"] == []


def test_a_symbol_without_a_forecast_has_the_reason(client: TestClient) -> None:
    answer = client.get("/v1/forecasts/MSFT")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    expected = "there is no forecast of MSFT yet: MSFT has 41 of the 60 bars the random walk needs"
    assert answer.json()["detail"] == expected


def test_a_reference_series_is_not_forecast(client: TestClient) -> None:
    answer = client.get("/v1/forecasts/SPY")
    assert answer.status_code == 404
    assert "SPY is not on the watchlist" in answer.json()["detail"]


def test_a_batch_holds_the_whole_watchlist(client: TestClient) -> None:
    page = client.get("/v1/forecasts").json()
    assert [item["symbol"] for item in page["items"]] == ["AAPL", "BTC-USD", "IBM"]
    assert [(item["symbol"], item["status"]) for item in page["missing"]] == [("MSFT", 503)]
    assert page["next_cursor"] is None
    assert page["items"][0] == client.get("/v1/forecasts/AAPL").json()


def test_a_batch_of_named_symbols_in_pages(client: TestClient) -> None:
    params = {"symbols": "IBM, ZZZZ,AAPL,AAPL", "limit": "2"}
    first = client.get("/v1/forecasts", params=params).json()
    assert [item["symbol"] for item in first["items"]] == ["AAPL", "IBM"]
    second = client.get("/v1/forecasts", params={**params, "cursor": first["next_cursor"]}).json()
    assert second["items"] == []
    assert [(item["symbol"], item["status"]) for item in second["missing"]] == [("ZZZZ", 404)]
    assert second["next_cursor"] is None


def test_pages_of_the_watchlist(client: TestClient) -> None:
    seen, cursor = [], None
    for _ in range(4):
        page = client.get("/v1/forecasts", params={"limit": 1, **({"cursor": cursor} if cursor else {})}).json()
        seen += [item["symbol"] for item in page["items"] + page["missing"]]
        cursor = page["next_cursor"]
    assert (seen, cursor) == (["AAPL", "BTC-USD", "IBM", "MSFT"], None)


def test_a_batch_as_of_a_session(client: TestClient) -> None:
    page = client.get("/v1/forecasts", params={"symbols": "AAPL,IBM", "as_of": "2018-05-31"}).json()
    assert [(item["symbol"], item["as_of"]) for item in page["items"]] == [("AAPL", "2018-05-31")]
    assert page["missing"][0]["status"] == 404


def test_an_entity_tag_is_valid_until_a_change(client: TestClient, filled: Database) -> None:
    tag = client.get("/v1/forecasts/AAPL").headers["etag"]
    held = {"If-None-Match": f'"other", {tag}'}
    answer = client.get("/v1/forecasts/AAPL", headers=held)
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert client.get("/v1/forecasts/IBM", headers=held).status_code == 200
    publish_into(filled, Publish(4, FRIDAY, at(FRIDAY, 23), revision=2))
    assert client.get("/v1/forecasts/AAPL", headers=held).status_code == 200


def test_an_entity_tag_does_not_outlive_freshness(client: TestClient, filled: Database) -> None:
    held = {"If-None-Match": client.get("/v1/forecasts").headers["etag"]}
    assert client.get("/v1/forecasts", headers=held).status_code == 304
    move_clock(filled, datetime(2018, 6, 4, 23, 45, tzinfo=UTC))
    assert client.get("/v1/forecasts", headers=held).status_code == 200


def test_live_market_time_is_machine_time(filled: Database) -> None:
    with filled.transaction() as connection:
        connection.execute(update(stamp).values(clock_mode="system"))
    with TestClient(create_app(Settings(), filled)) as client:
        answer = client.get("/v1/forecasts/AAPL").json()
    known_at = datetime.fromisoformat(answer["known_at"])
    assert abs(process_now() - known_at) < timedelta(minutes=5)


@pytest.mark.parametrize(("days_after", "expected"), [(0, True), (5, True), (6, False)])
def test_an_answer_with_approximate_sessions_is_marked(
    client: TestClient, filled: Database, days_after: int, expected: bool
) -> None:
    """The sessions of a forecast as of Friday: Friday, and the three sessions after it up to Wednesday."""
    with filled.transaction() as connection:
        approximate = (sessions.c.calendar == "XNYS", sessions.c.session == FRIDAY + timedelta(days=days_after))
        connection.execute(update(sessions).where(*approximate).values(approximate=True))
    assert client.get("/v1/forecasts/AAPL").json()["approximate"] is expected
    assert client.get("/v1/forecasts/BTC-USD").json()["approximate"] is False
