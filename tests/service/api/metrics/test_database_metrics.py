"""Metrics of the database: each equals what the rows say, on both databases; down and empty are told apart."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, insert, update

from service.api.common.dependencies import Reader
from service.api.metrics.database_metrics import DatabaseMetrics
from service.api.metrics.exposition import Metrics
from service.cli.doctor.state_check import check_alerts
from service.db.session import Database
from service.db.tables import alert_deliveries, alert_subscriptions, instruments, runs, schedulers, sessions
from service.settings import Settings
from tests.support.api.ledger_factory import FRIDAY, LSTM, MONDAY, NOW, THURSDAY, add_record, add_score, at, move_clock
from tests.support.api.scrape import Scrape


def scrape(database: Database, settings: Settings | None = None) -> Scrape:
    """Return a scrape of a new process."""
    return Scrape(Metrics(Reader(settings or Settings(), database), "0").render("")[0].decode())


def add_run(database: Database, run_id: int, job: str, state: str, **values: object) -> None:
    row = {
        "id": run_id, "job": job, "scope": "XNYS", "scheduled_for": at(FRIDAY, 21, 30), "sequence": run_id,
        "session": FRIDAY, "state": state, "attempt": 1, "token": 1, "counts": {},
    }  # fmt: skip
    with database.transaction() as connection:
        connection.execute(insert(runs).values(**{**row, **values}))


def test_runs_by_state_with_their_durations_takeovers_and_discarded_results(filled: Database) -> None:
    start = NOW

    def ended(seconds: float) -> dict[str, object]:
        return {"started_at": start, "finished_at": start + timedelta(seconds=seconds)}

    add_run(filled, 11, "pull", "done", takeovers=2, **ended(0.5))
    add_run(filled, 12, "pull", "done", fenced=1, faults=3, **ended(59.75))
    add_run(filled, 13, "pull", "failed", takeovers=1, **ended(4000))
    add_run(filled, 14, "pull", "running", started_at=start, fenced=4)
    add_run(filled, 15, "train", "waiting")
    found = scrape(filled)
    states = found.by("tplus_runs", "job_name", "state")
    assert {key: value for key, value in states.items() if value} == {
        ("pull", "done"): 3,  # one is of the filled ledger
        ("pull", "failed"): 1,
        ("pull", "running"): 1,
        ("train", "waiting"): 1,
        ("forecast", "done"): 2,
    }
    assert len(states) == 30  # five jobs, six states
    assert found.value("tplus_run_takeovers_total", job_name="pull") == 3
    assert found.value("tplus_run_fenced_total", job_name="pull") == 5
    assert found.value("tplus_run_faults_total", job_name="pull") == 3
    assert found.value("tplus_run_fenced_total", job_name="train") == 0
    name = "tplus_run_duration_seconds"
    buckets = found.by(f"{name}_bucket", "job_name", "le")
    assert [buckets["pull", le] for le in ("1.0", "5.0", "60.0", "3600.0", "+Inf")] == [1, 1, 2, 2, 3]
    assert found.value(f"{name}_count", job_name="pull") == 3
    assert found.value(f"{name}_sum", job_name="pull") == pytest.approx(4060.25, abs=0.01)
    assert found.value("tplus_run_last_done_timestamp_seconds", job_name="pull") == (start.timestamp() + 59.75)


def test_outcomes_of_forecast_runs_and_void_scores(filled: Database) -> None:
    add_run(filled, 11, "forecast", "done", counts={"forecast": 7, "missed": 2})
    add_run(filled, 12, "forecast", "failed", counts={"missed": 1, "refused": 4})
    add_run(filled, 13, "pull", "done", counts={"missed": 100})
    add_run(filled, 14, "forecast", "waiting", counts={"waiting": 1, "missed": 1, "refused": 2})  # may still change
    void = {"state": "void", "actual": None, "pinball": None, "error": None, "inside_50": None, "inside_80": None,
            "inside_95": None}  # fmt: skip
    with filled.transaction() as connection:
        add_score(connection, 1, LSTM, 1, **void)
        add_score(connection, 1, LSTM, 2, **void)
        add_score(connection, 1, LSTM, 2, revision=2)  # a late bar
        add_score(connection, 1, LSTM, 3)
    found = scrape(filled)
    assert found.by("tplus_forecast_outcomes_total", "outcome") == {
        ("forecast",): 7,
        ("missed",): 3,
        ("refused",): 4,
    }
    assert found.value("tplus_scores_void") == 1
    assert found.value("tplus_edition_number") == 3


def test_ages_of_data_and_forecasts_in_market_time(filled: Database) -> None:
    # Friday's bars are final at 21:30, its forecasts were issued at 21:40; Monday's bars are final at 21:30.
    with filled.transaction() as connection:
        connection.execute(update(instruments).values(last_session=FRIDAY))
        connection.execute(update(instruments).where(instruments.c.symbol == "SPY").values(last_session=THURSDAY))
    move_clock(filled, at(MONDAY, 21, 30))
    found = scrape(filled)
    assert found.value("tplus_data_age_seconds", calendar="XNYS") == 3 * 86400
    assert found.value("tplus_data_sessions_behind", calendar="XNYS") == 1
    assert found.value("tplus_forecast_age_seconds", calendar="XNYS") == 3 * 86400 - 600
    assert found.value("tplus_forecast_stale", calendar="XNYS") == 0
    assert found.value("tplus_market_time_seconds") == at(MONDAY, 21, 30).timestamp()
    move_clock(filled, at(MONDAY, 23, 31))
    closed = update(sessions).where(sessions.c.calendar == "XNYS", sessions.c.session == MONDAY)
    assert scrape(filled).value("tplus_forecast_stale", calendar="XNYS") == 1
    with filled.transaction() as connection:
        connection.execute(closed.values(state="closed"))  # an unscheduled closure: no bar is missing
    assert scrape(filled).value("tplus_data_sessions_behind", calendar="XNYS") == 0


def test_a_calendar_without_bars_is_behind_and_has_no_age(filled: Database) -> None:
    with filled.transaction() as connection:
        connection.execute(update(instruments).values(last_session=None))
    move_clock(filled, at(FRIDAY, 21, 30))
    found = scrape(filled)
    assert found.value("tplus_data_age_seconds", calendar="XNYS") is None
    behind = found.value("tplus_data_sessions_behind", calendar="XNYS")
    assert behind is not None
    assert behind >= 1


def test_track_records_of_groups_and_of_no_symbol(filled: Database) -> None:
    with filled.transaction() as connection:
        add_record(connection, "equity", "multi_step", 2, scope_kind="group", n=900, skill=0.02, coverage_80=0.79)
        add_record(connection, "equity", "one_step", 1, scope_kind="group", n=30, skill=None, mode="live")
        add_record(connection, "equity", "multi_step", 2, scope_kind="group", forecaster="lstm", n=5)
    found = scrape(filled)
    labels = ("group", "strategy", "step", "mode")
    first, second = ("equity", "multi_step", "2", "replay"), ("equity", "one_step", "1", "live")
    assert found.by("tplus_track_record_forecasts", *labels) == {first: 900, second: 30}
    assert found.by("tplus_track_record_skill", *labels) == {first: 0.02}
    coverage = found.by("tplus_track_record_coverage", *labels, "level")
    assert {level: coverage[(*first, level)] for level in ("50", "80", "95")} == {"50": 0.5, "80": 0.79, "95": 0.95}
    assert "AAPL" not in found.text


def test_symbols_by_state_and_the_heartbeat(filled: Database) -> None:
    with filled.transaction() as connection:
        connection.execute(update(instruments).where(instruments.c.symbol == "IBM").values(state="failing"))
    found = scrape(filled)
    assert found.by("tplus_symbols", "state") == {
        ("new",): 0, ("ok",): 3, ("suspect",): 0, ("unknown",): 0, ("failing",): 1,
    }  # fmt: skip
    assert found.value("tplus_scheduler_heartbeat_age_seconds") is None  # no scheduler has ever run
    row = {"id": "s", "name": "host:1", "heartbeat_at": datetime.now(UTC) - timedelta(hours=2), "token": 1}
    with filled.transaction() as connection:
        connection.execute(insert(schedulers).values(**row))
    age = scrape(filled, Settings(lease_seconds=45)).value("tplus_scheduler_heartbeat_age_seconds")
    assert age is not None
    assert 7200 <= age < 7260
    assert scrape(filled, Settings(lease_seconds=45)).value("tplus_scheduler_lease_seconds") == 45


def test_numbers_are_kept_for_some_seconds_and_cost_a_fixed_number_of_queries(filled: Database) -> None:
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            statements.append(statement)

    event.listen(filled.engine, "before_cursor_execute", note)
    kept = DatabaseMetrics(Reader(Settings(), filled))
    list(kept.collect())
    first = len(statements)
    assert first <= 20
    list(kept.collect())
    assert len(statements) == first
    with filled.transaction() as connection:  # a thousand more symbols
        row = {
            "instrument_type": "EQUITY", "group": "equity", "calendar": "XNYS", "active": True, "reference": False,
            "basis": 0, "state": "ok", "state_since": NOW, "added_at": NOW, "last_session": date(2018, 6, 1),
        }  # fmt: skip
        connection.execute(insert(instruments), [{**row, "symbol": f"S{number}"} for number in range(1000)])
    del statements[:]
    metrics = DatabaseMetrics(Reader(Settings(), filled), kept_seconds=0)
    lines = sum(len(family.samples) for family in metrics.collect())
    assert len(statements) == first
    assert lines < 150


def test_an_unreadable_database_is_down_and_requests_are_still_counted(tmp_path: Path) -> None:
    file = tmp_path / "broken.db"
    file.write_text("this is no database")
    database = Database(f"sqlite:///{file}")
    found = scrape(database)
    assert found.value("tplus_database_up") == 0
    assert found.value("tplus_http_requests_in_progress") == 0
    assert [name for name in found.names() if name.startswith("tplus_run")] == []
    database.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_without_any_use_is_up(database: Database) -> None:
    assert scrape(database).value("tplus_database_up") == 1


def test_deliveries_of_alerts_by_state(filled: Database) -> None:
    with filled.transaction() as connection:
        connection.execute(
            insert(alert_subscriptions).values(
                id=1, name="mine", kinds=["test"], scope_kind="all", interval=80, target_kind="webhook",
                target_shown="https://example.com", created_at=NOW, created_by="me",
            )
        )  # fmt: skip
        row = {
            "subscription_id": 1, "kind": "test", "events": 1, "body": "{}", "attempts": 1, "next_attempt_at": NOW,
            "token": 1, "created_at": NOW,
        }  # fmt: skip
        states = ("dead", "dead", "pending", "delivered", "delivered", "delivered")
        rows = [{**row, "state": state, "message_id": f"m{number}"} for number, state in enumerate(states)]
        connection.execute(insert(alert_deliveries), rows)
    assert scrape(filled).by("tplus_alert_deliveries", "state") == {
        ("pending",): 1, ("delivered",): 3, ("dead",): 2, ("dropped",): 0,
    }  # fmt: skip
    with filled.reading() as connection:
        (found,) = check_alerts(connection)
    assert found.message == "2 deliveries were given up; check the targets of the subscriptions"
