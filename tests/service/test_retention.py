"""Retention: what is deleted, what stays, and equal answers about the kept span before and after."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, insert, select, update

from service.api.common.dependencies import Reader
from service.api.metrics.exposition import Metrics
from service.app import create_app
from service.db.row_hashes import digest
from service.db.session import Database
from service.db.tables import (
    APPEND_ONLY,
    audit,
    bar_revisions,
    bars,
    calibration_states,
    quarantine,
    run_outcomes,
    runs,
    track_records,
)
from service.hash_chains.verify import verify_database
from service.retention import Pruned, count_prunable, prune
from service.settings import Settings
from tests.support.api.client import TestClient
from tests.support.api.ledger_factory import FRIDAY, LSTM, MONDAY, NOW, THURSDAY, add_score, at, fill
from tests.support.api.scrape import Scrape

KEEP = timedelta(days=90)
CUT = NOW - KEEP
OLD, RECENT = CUT - timedelta(days=1), CUT + timedelta(days=1)
MACHINE = datetime(2026, 1, 2, tzinfo=UTC)
QUESTIONS = (
    "/v1/status", "/v1/forecasts", "/v1/forecasts/AAPL", "/v1/forecasts/MSFT", "/v1/forecasts/IBM?as_of=2018-06-01",
    "/v1/forecasts/AAPL?known_at=2018-05-31T22:00:00Z", "/v1/forecasts/AAPL/history", "/v1/prices/AAPL", "/v1/accuracy",
    "/v1/models", "/v1/models/1", "/v1/symbols", "/v1/watchlist", "/v1/ledger", "/v1/figures/AAPL?kind=skill",
    "/v1/runs/900", "/v1/runs?job=score",
)  # fmt: skip


def run_row(number: int, job: str, when: datetime, state: str = "done", scope: str = "XNYS") -> dict[str, Any]:
    return {
        "id": number, "job": job, "scope": scope, "scheduled_for": when, "sequence": 0, "session": when.date(),
        "state": state, "attempt": 1, "token": 1, "counts": {}, "faults": 0, "takeovers": 0, "warnings": [],
    }  # fmt: skip


def revision(number: int, session: date, close: float, replaced_at: datetime) -> dict[str, Any]:
    return {
        "symbol": "AAPL", "session": session, "revision": number, "close": close, "fetched_at": replaced_at,
        "replaced_at": replaced_at, "basis": 0,
    }  # fmt: skip


def held(number: int, state: str, seen: datetime, session: date, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": number, "symbol": "AAPL", "session": session, "row": row, "reason": f"reason {number}", "state": state,
        "first_seen_at": seen, "last_seen_at": seen,
    }  # fmt: skip


@pytest.fixture
def aged(database: Database) -> Database:
    """The API's test data with older rows of each kind."""
    fill(database)
    bar, action = {"close": 1.0}, {"kind": "dividend", "value": 1.0, "accepted": True, "share": 0.1}
    with database.transaction() as connection:
        old_runs = [
            run_row(101, "pull", OLD), run_row(102, "pull", OLD, "superseded", "24/7"),
            run_row(103, "pull", OLD - KEEP, scope="24/7"), run_row(104, "score", OLD),
            run_row(105, "forecast", OLD), run_row(106, "forecast", OLD - KEEP),
            run_row(107, "forecast", OLD, scope="XTKS"), run_row(108, "pull", OLD, "failed"),
            run_row(109, "pull", OLD - KEEP, "running", "XLON"), run_row(900, "pull", RECENT),
            run_row(901, "score", RECENT), run_row(902, "forecast", RECENT), run_row(903, "pull", RECENT, scope="24/7"),
        ]  # fmt: skip
        connection.execute(insert(runs), [row | {"sequence": place} for place, row in enumerate(old_runs)])
        given = {101: "AAPL", 104: "AAPL", 105: "AAPL", 106: "GONE", 107: "7203.T", 900: "AAPL", 901: "AAPL",
                 902: "AAPL"}  # fmt: skip
        rows = [{"run_id": number, "symbol": symbol, "state": "ok"} for number, symbol in given.items()]
        connection.execute(insert(run_outcomes), rows)
        add_score(connection, 1, LSTM, 1)
        connection.exec_driver_sql(
            "INSERT INTO score_batches (number, calendar, scored_at, recorded_at, previous_hash, hash, run_id) "
            "SELECT number + 50, calendar, scored_at, recorded_at, previous_hash, hash, 104 FROM score_batches"
        )
        connection.execute(
            insert(bar_revisions),
            [revision(1, THURSDAY, 90.0, OLD - KEEP), revision(2, THURSDAY, 91.0, OLD),
             revision(3, THURSDAY, 92.0, RECENT), revision(1, FRIDAY, 93.0, OLD)],
        )  # fmt: skip
        connection.execute(
            insert(quarantine),
            [held(1, "refused", OLD, OLD.date(), bar), held(2, "cleared", OLD, OLD.date(), bar),
             held(3, "open", OLD, OLD.date(), bar), held(4, "rejected", OLD, OLD.date(), bar),
             held(5, "cleared", OLD, OLD.date(), action), held(6, "confirmed", RECENT, OLD.date(), bar),
             held(7, "repaired", OLD, RECENT.date(), bar)],
        )  # fmt: skip
    return database


def ids(database: Database, table: Table) -> list[int]:
    with database.reading() as connection:
        return list(connection.execute(select(table.c.id).order_by(table.c.id)).scalars())


def emptied(database: Database) -> list[int]:
    with database.reading() as connection:
        query = select(runs.c.id).where(runs.c.outcomes_pruned_at.is_not(None))
        return list(connection.execute(query.order_by(runs.c.id)).scalars())


def bars_known_at(database: Database, instant: datetime) -> dict[tuple[str, date], tuple[int, float]]:
    """Every bar as it was at an instant: the first value replaced later, else the stored one."""
    with database.reading() as connection:
        found = {(row.symbol, row.session): (row.revision, row.close) for row in connection.execute(select(bars))}
        later = select(bar_revisions).where(bar_revisions.c.replaced_at > instant)
        for row in connection.execute(later.order_by(bar_revisions.c.revision.desc())):
            found[(row.symbol, row.session)] = (row.revision, row.close)
    return found


def answers(database: Database) -> dict[str, Any]:
    found = {}
    with TestClient(create_app(Settings(), database)) as client:
        for path in QUESTIONS:
            answer = client.get(path)
            body = answer.json()
            body.pop("request_id", None)
            if path == "/v1/status":  # machine time moves on
                body.pop("scheduler", None)
            if path == "/v1/runs?job=score":  # of those before the span it says when their outcomes were deleted
                body = [item for item in body["items"] if item["scheduled_for"] >= CUT.isoformat()]
            found[path] = (answer.status_code, body)
    return found


def test_answers_about_the_kept_span_are_equal_before_and_after(aged: Database) -> None:
    kept_tables = [table for table in APPEND_ONLY if table != "audit"]

    def evidence() -> dict[str, Any]:
        with aged.reading() as connection:
            tables = [audit.metadata.tables[name] for name in kept_tables]
            found: dict[str, Any] = {
                each.name: digest(connection, each) for each in (*tables, calibration_states, track_records, bars)
            }
            return found | {"chains": verify_database(connection).document()}

    instants = [CUT, RECENT - timedelta(hours=1), RECENT, at(THURSDAY, 22), NOW]
    before = answers(aged), evidence(), [bars_known_at(aged, instant) for instant in instants]
    assert before[0]["/v1/forecasts/AAPL"][0] == 200
    assert before[2][0][("AAPL", THURSDAY)] == (3, 92.0)
    with aged.reading() as connection:
        expected = count_prunable(connection, NOW, KEEP)
    assert prune(aged, NOW, MACHINE, KEEP) == expected == Pruned(3, 2, 3, 6)
    after = answers(aged), evidence(), [bars_known_at(aged, instant) for instant in instants]
    assert {path: answer for path, answer in after[0].items() if answer != before[0][path]} == {}
    assert after[1:] == before[1:]
    assert prune(aged, NOW, MACHINE, KEEP) == Pruned()


def test_what_is_deleted_and_what_stays(aged: Database) -> None:
    prune(aged, NOW, MACHINE, KEEP)
    # 106, 107: a symbol's newest outcome, the newest of a scope. 109: not ended. 900 and later are of the span.
    assert emptied(aged) == [101, 102, 103, 104, 105, 108]
    assert [number for number in ids(aged, runs) if number > 100] == [*range(101, 110), 900, 901, 902, 903]
    assert ids(aged, quarantine) == [3, 4, 5, 6, 7]
    with aged.reading() as connection:
        stub = connection.execute(select(runs).where(runs.c.id == 104)).one()
        assert (stub.state, stub.outcomes_pruned_at) == ("done", MACHINE)
        left = connection.execute(select(run_outcomes.c.run_id).where(run_outcomes.c.run_id > 100).distinct())
        assert sorted(left.scalars()) == [106, 107, 900, 901, 902]
        kept = connection.execute(select(bar_revisions.c.revision, bar_revisions.c.close)).all()
        assert kept == [(3, 92.0)]
        line = connection.execute(select(audit)).one()
        assert (line.action, line.subject) == ("db.prune", "before 2018-03-04")
        assert line.detail["bar_revisions"] == 3


def test_batches_are_limited(aged: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.retention.BATCH", 1)
    monkeypatch.setattr("service.retention.RUNS_BATCH", 2)
    assert prune(aged, NOW, MACHINE, KEEP) == Pruned(3, 2, 3, 6)


def test_runs_since_the_newest_success_stay(database: Database) -> None:
    """How long a source is down is read from them."""
    with database.transaction() as connection:
        rows = [run_row(1, "pull", OLD - 3 * KEEP), run_row(2, "pull", OLD - 2 * KEEP)]
        rows += [run_row(number, "pull", OLD - KEEP + timedelta(days=number), "failed") for number in range(3, 9)]
        connection.execute(insert(runs), [*rows, run_row(9, "pull", NOW, "waiting")])
    assert prune(database, NOW, MACHINE, KEEP).runs == 1
    assert emptied(database) == [1]


def test_no_total_of_the_metrics_falls(aged: Database) -> None:
    """To Prometheus a total that falls has started again, and `increase` would count all of it as new."""
    with aged.transaction() as connection:
        connection.execute(update(runs).values(takeovers=2, counts={"missed": 3}))

    def totals() -> dict[str, float]:
        samples = Scrape(Metrics(Reader(Settings(), aged), "0").render("")[0].decode()).samples
        names = ("tplus_run", "tplus_forecast_outcomes")
        return {f"{each.name}{each.labels}": each.value for each in samples if each.name.startswith(names)}

    before = totals()
    assert before["tplus_run_takeovers_total{'job_name': 'score'}"] == 4
    assert prune(aged, NOW, MACHINE, KEEP).runs == 6
    assert totals() == before


def test_nothing_of_monday_is_old(aged: Database, tmp_path: Path) -> None:
    assert MONDAY > RECENT.date()
    with aged.reading() as connection:
        assert count_prunable(connection, NOW, timedelta(days=36_500)) == Pruned()
