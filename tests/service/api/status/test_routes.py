"""GET /v1/status: the status of a filled, an empty and an unreadable database."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, text, update

from service.app import VERSION, create_app
from service.db.migrate import upgrade
from service.db.session import Database
from service.db.tables import instruments, market_clock, model_versions, run_outcomes, runs, schedulers, sessions, stamp
from service.settings import Settings
from tests.support.api.client import TestClient
from tests.support.api.ledger_factory import (
    FRIDAY,
    LSTM,
    LSTM_ONE,
    MONDAY,
    NOW,
    Publish,
    add_instrument,
    add_stamp,
    at,
    move_clock,
    publish,
)

MACHINE = datetime.now(UTC)
LATER = MACHINE + timedelta(days=1)


def read(client: TestClient) -> dict[str, Any]:
    answer = client.get("/v1/status")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def add_run(database: Database, run_id: int, job: str, scope: str = "XNYS", **values: Any) -> None:
    row = {"id": run_id, "job": job, "scope": scope, "scheduled_for": at(FRIDAY, 21, 30), "sequence": 0,
           "session": FRIDAY, "state": "failed", "attempt": 1, "token": 1, "counts": {}, "started_at": NOW}  # fmt: skip
    with database.transaction() as connection:
        connection.execute(insert(runs).values(**{**row, **values}))


def add_outcomes(database: Database, run_id: int, **states: str) -> None:
    rows = [{"run_id": run_id, "symbol": symbol, "state": state} for symbol, state in states.items()]
    with database.transaction() as connection:
        connection.execute(insert(run_outcomes), rows)


def test_the_status_of_a_filled_database(client: TestClient) -> None:
    xnys = {
        "calendar": "XNYS", "time_zone": "America/New_York",
        "as_of": "2018-06-01", "issued_at": "2018-06-01T21:40:00Z", "mode": "replay",
        "stale_after": "2018-06-04T23:30:00Z", "stale": False,
        "next_edition_at": "2018-06-04T21:30:00Z", "next_edition_in_seconds": None,
    }  # fmt: skip
    crypto = {
        "calendar": "24/7", "time_zone": "UTC",
        "as_of": "2018-06-01", "issued_at": "2018-06-01T23:59:00Z", "mode": "replay",
        "stale_after": "2018-06-03T02:00:00Z", "stale": False,
        "next_edition_at": "2018-06-03T00:00:00Z", "next_edition_in_seconds": None,
    }  # fmt: skip
    assert read(client) == {
        "notice_kind": None, "notice": None, "now": "2018-06-02T00:00:00Z", "clock": "replay", "source": "sample",
        "version": VERSION, "record_end": "2018-12-31", "record_ended": False, "speed": 5.0, "counter": 4,
        "edition": {"number": 3, "calendar": "24/7", "as_of": "2018-06-01", "issued_at": "2018-06-01T23:59:00Z",
                    "mode": "replay"},
        "data_as_of": "2018-06-02T00:00:00Z", "stale": False, "stale_after": "2018-06-03T02:00:00Z",
        "next_edition_at": "2018-06-03T00:00:00Z", "next_edition_in_seconds": None,
        "calendars": [crypto, xnys], "scheduler": {"alive": False, "heartbeat_at": None},
        "watchlist": {"active": 4, "with_forecast": 3, "suspect": 0, "failing": 0, "unknown": 0},
        "training": None, "source_fault": None, "last_failure": None,
    }  # fmt: skip


def test_the_status_is_stale_if_one_calendar_is_stale(client: TestClient, filled: Database) -> None:
    move_clock(filled, datetime(2018, 6, 3, 2, 0, 1, tzinfo=UTC))
    body = read(client)
    assert body["stale"] is True
    assert {each["calendar"]: each["stale"] for each in body["calendars"]} == {"24/7": True, "XNYS": False}


def test_a_backfill_is_not_the_newest_edition(client: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:
        publish(connection, Publish(4, date(2018, 5, 25), at(FRIDAY, 23), ("MSFT",), mode="backfill"))
    body = read(client)
    assert (body["edition"]["number"], body["watchlist"]["with_forecast"]) == (3, 3)


def test_a_calendar_without_active_symbols_is_left_out(client: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:
        connection.execute(update(instruments).where(instruments.c.calendar == "24/7").values(active=False))
    body = read(client)
    assert [each["calendar"] for each in body["calendars"]] == ["XNYS"]
    assert (body["watchlist"]["active"], body["watchlist"]["with_forecast"]) == (3, 2)


@pytest.mark.parametrize(("seconds", "alive"), [(25, True), (120, False)])
def test_the_scheduler_is_alive_for_a_lease_after_its_heartbeat(
    client: TestClient, filled: Database, seconds: int, alive: bool
) -> None:
    when = datetime.now(UTC) - timedelta(seconds=seconds)
    with filled.transaction() as connection:
        connection.execute(insert(schedulers).values(id="a", name="host:1", heartbeat_at=when, token=1))
    assert read(client)["scheduler"]["alive"] is alive


def test_a_running_training_has_its_progress(client: TestClient, filled: Database) -> None:
    progress = {"progress": 0.42, "progress_detail": "multi_step, seed 1, epoch 7"}
    add_run(filled, 9, "train", "equity", state="running", lease_until=LATER, **progress)
    expected = {
        "group": "equity", "run_id": 9, "since": "2018-06-02T00:00:00Z",
        "progress": 0.42, "detail": "multi_step, seed 1, epoch 7", "first": False,
    }  # fmt: skip
    assert read(client)["training"] == expected
    with filled.transaction() as connection:
        networks = model_versions.c.id.in_((LSTM, LSTM_ONE))
        connection.execute(update(model_versions).where(networks).values(group="crypto"))
        connection.execute(update(runs).where(runs.c.id == 9).values(progress=None, progress_detail=None))
    expected = {**expected, "progress": None, "detail": None, "first": True}
    assert read(client)["training"] == expected


def test_a_group_without_networks_never_has_a_first_training(client: TestClient, filled: Database) -> None:
    add_run(filled, 9, "train", "other", state="running", lease_until=LATER)
    assert (read(client)["training"]["group"], read(client)["training"]["first"]) == ("other", False)


def test_a_training_with_an_expired_lease_is_left_out(client: TestClient, filled: Database) -> None:
    add_run(filled, 9, "train", "equity", state="running", lease_until=MACHINE - timedelta(hours=1))
    assert read(client)["training"] is None


@pytest.mark.parametrize("state", ["due", "running", "failed"])
def test_a_source_without_answers_is_a_fault(client: TestClient, filled: Database, state: str) -> None:
    error = "2 of 3 symbols could not be pulled; AAPL: timed out"
    add_run(filled, 9, "pull", state=state, error=error)
    add_outcomes(filled, 9, AAPL="transient", IBM="failed", MSFT="ok")
    assert read(client)["source_fault"] == {
        "sentence": f"prices of XNYS are not arriving: {error}", "kind": "partial", "since": "2018-06-02T00:00:00Z",
        "next_try_at": None,
    }  # fmt: skip


def test_an_unreachable_source_has_its_start_and_its_next_try(client: TestClient, filled: Database) -> None:
    hour = timedelta(hours=1)
    add_run(filled, 8, "pull", sequence=11, state="done", started_at=NOW - 5 * hour)
    add_run(
        filled, 9, "pull", sequence=12, error="no symbol could be pulled; AAPL: timed out", started_at=NOW - 3 * hour
    )
    add_outcomes(filled, 9, AAPL="transient")
    error = "2 of 2 symbols could not be pulled; AAPL: timed out"
    add_run(filled, 10, "pull", sequence=13, state="due", error=error, not_before=NOW + hour)
    add_outcomes(filled, 10, AAPL="transient", IBM="transient")
    fault = read(client)["source_fault"]
    assert (fault["kind"], fault["since"], fault["next_try_at"]) == (
        "unreachable", "2018-06-01T21:00:00Z", "2018-06-02T01:00:00Z",
    )  # fmt: skip


def test_a_rate_limit_is_distinguished_and_a_waiting_pull_has_its_next_try(
    client: TestClient, filled: Database
) -> None:
    waiting = {"state": "waiting", "error": "slow down", "wait_until": NOW + timedelta(minutes=5)}
    add_run(filled, 9, "pull", **waiting, not_before=NOW - timedelta(days=1))
    add_outcomes(filled, 9, AAPL="deferred", IBM="transient")
    fault = read(client)["source_fault"]
    assert (fault["kind"], fault["next_try_at"]) == ("rate_limited", "2018-06-02T00:05:00Z")


def test_a_fault_of_several_calendars_names_them(client: TestClient, filled: Database) -> None:
    add_run(filled, 9, "pull", state="due", error="4 of 4 symbols are deferred; AAPL: slow down")
    add_outcomes(filled, 9, AAPL="deferred")
    waiting = "2 of 2 symbols of 24/7 have no bar of 2018-06-01"
    add_run(filled, 10, "pull", "24/7", state="waiting", error=waiting, started_at=NOW - timedelta(hours=1))
    fault = read(client)["source_fault"]
    assert fault["sentence"] == f"prices of 24/7 (and those of XNYS) are not arriving: {waiting}"
    assert fault["since"] == "2018-06-01T23:00:00Z"


def test_a_pull_that_failed_for_another_reason_is_no_fault_of_the_source(client: TestClient, filled: Database) -> None:
    add_run(filled, 9, "pull", state="due", error="database error: disk I/O error")
    assert read(client)["source_fault"] is None


def test_a_successful_pull_ends_the_fault(client: TestClient, filled: Database) -> None:
    add_run(filled, 9, "pull", error="no symbol could be pulled; AAPL: timed out")
    add_outcomes(filled, 9, AAPL="transient")
    assert read(client)["source_fault"] is not None
    add_run(filled, 10, "pull", sequence=1, state="done")
    assert read(client)["source_fault"] is None


@pytest.mark.parametrize("state", ["due", "running"])
def test_a_pull_that_has_just_started_does_not_end_the_fault(client: TestClient, filled: Database, state: str) -> None:
    add_run(filled, 9, "pull", error="no symbol could be pulled; AAPL: timed out")
    add_outcomes(filled, 9, AAPL="transient")
    add_run(filled, 10, "pull", sequence=1, state=state)
    assert "timed out" in read(client)["source_fault"]["sentence"]


def test_faults_of_unused_calendars_are_ignored(client: TestClient, filled: Database) -> None:
    add_run(filled, 9, "pull", "XTKS", error="no symbol could be pulled; 7203.T: timed out")
    add_outcomes(filled, 9, AAPL="transient")
    body = read(client)
    assert (body["source_fault"], body["last_failure"]) == (None, None)
    with filled.transaction() as connection:
        add_instrument(connection, "7203.T", calendar="XTKS")
    body = read(client)
    assert "XTKS" in body["source_fault"]["sentence"]
    assert body["last_failure"]["run_id"] == 9


def test_a_database_replaced_by_one_for_the_other_clock_is_read(client: TestClient, filled: Database) -> None:
    read(client)
    with filled.transaction() as connection:
        connection.execute(delete(stamp))
        connection.execute(delete(market_clock))
    assert read(client)["notice_kind"] == "empty"
    with filled.transaction() as connection:
        add_stamp(connection, "system")
    assert (read(client)["clock"], read(client)["notice_kind"]) == ("system", None)


def test_a_failure_is_shown_until_a_later_run_is_done(client: TestClient, filled: Database) -> None:
    add_run(filled, 9, "train", "equity", error="memory ran out", finished_at=NOW)
    assert read(client)["last_failure"] == {
        "run_id": 9, "job": "train", "scope": "equity", "session": "2018-06-01", "error": "memory ran out",
        "finished_at": "2018-06-02T00:00:00Z",
    }  # fmt: skip
    add_run(filled, 10, "train", "crypto", state="done")
    assert read(client)["last_failure"]["run_id"] == 9
    add_run(filled, 11, "train", "equity", state="done", scheduled_for=at(MONDAY, 21, 30))
    assert read(client)["last_failure"] is None


def test_symbols_are_counted_by_state(client: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:
        for symbol, state in (("AAPL", "suspect"), ("IBM", "failing"), ("MSFT", "unknown"), ("SPY", "failing")):
            connection.execute(update(instruments).where(instruments.c.symbol == symbol).values(state=state))
    watchlist = read(client)["watchlist"]
    assert watchlist == {"active": 4, "with_forecast": 3, "suspect": 1, "failing": 1, "unknown": 1}


@pytest.mark.parametrize(
    ("now", "ended"),
    [
        (at(FRIDAY, 21, 29), False),  # XNYS closes at 20:00 and settles 90 minutes
        (at(FRIDAY, 23, 59), False),  # 24/7 closes at 23:00 and settles 60 minutes
        (datetime(2018, 6, 2, tzinfo=UTC), True),
    ],
)
def test_a_record_ends_with_its_last_final_session(
    client: TestClient, filled: Database, now: datetime, ended: bool
) -> None:
    with filled.transaction() as connection:
        connection.execute(update(market_clock).values(now=now, record_end=FRIDAY))
    assert read(client)["record_ended"] is ended


def test_a_record_without_stored_sessions_after_its_end_has_not_ended(client: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:
        connection.execute(update(market_clock).values(record_end=FRIDAY))
        connection.execute(delete(sessions).where(sessions.c.calendar == "24/7", sessions.c.session > FRIDAY))
    assert read(client)["record_ended"] is False


def test_live_market_time_has_no_record(filled: Database) -> None:
    with filled.transaction() as connection:
        connection.execute(update(stamp).values(clock_mode="system"))
        connection.execute(delete(market_clock))
    with TestClient(create_app(Settings(clock="system"), filled)) as client:
        body = read(client)
    assert (body["clock"], body["speed"], body["record_end"], body["record_ended"]) == ("system", None, None, False)
    assert datetime.fromisoformat(body["now"]) >= MACHINE
    assert body["stale"] is True


def test_a_query_parameter_is_refused(client: TestClient) -> None:
    answer = client.get("/v1/status", params={"notice_kind": "empty"})
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "notice_kind")


def test_a_database_that_is_not_set_up_has_the_notice_empty(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new.db'}")
    with TestClient(create_app(Settings(data_dir=tmp_path), database)) as client:
        body = read(client)
        assert (body["notice_kind"], body["edition"], body["calendars"], body["now"]) == ("empty", None, [], None)
        assert (body["clock"], body["source"], body["speed"]) == ("replay", "sample", 5.0)
        assert "has no tables yet" in body["notice"]
        upgrade(database)
        notice = "the database is empty; start the service with `tplus up` or `tplus schedule`"
        assert read(client)["notice"] == notice
    database.close()


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
def test_a_database_that_lacks_a_table_is_not_empty(client: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("DROP TABLE run_outcomes"))
        connection.execute(text("DROP TABLE change_counters"))
    answer = client.get("/v1/status")
    assert answer.status_code == 503
    assert "is at migration 9999" in answer.json()["detail"]
