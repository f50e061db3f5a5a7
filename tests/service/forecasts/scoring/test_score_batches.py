"""The chain of score batches: numbers, hashes, and the faults that `verify` reports after tampering."""

import hashlib
import json
import sqlite3
from datetime import date
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from models.config import Strategy
from service.db.hash_chain import GENESIS
from service.db.tables import score_batches, scores
from service.forecasts.ledger import publish, verify
from service.forecasts.scoring.outcomes import PendingForecast
from service.forecasts.scoring.score_batches import ScoreBatch, publish_scores
from tests.support.forecast_factory import Desk, History, Said, draft_of, random_closes, utc

AS_OF, T = date(2018, 5, 31), date(2018, 6, 1)
NOON, RECORDED = utc(2018, 6, 1, 22), utc(2026, 1, 2, 3, 4)
BATCH = ScoreBatch("XNYS", NOON, RECORDED, None)
QUANTILES = (-0.06, -0.04, -0.02, 0.0, 0.02, 0.04, 0.06)
SCORED = {
    "revision": 1, "state": "scored", "reason": None, "bars_revision": 2, "actions_revision": 0, "actual": 0.01,
    "pinball": 0.002, "error": 0.01, "inside_50": True, "inside_80": True, "inside_95": True,
}  # fmt: skip
VOID = {**dict.fromkeys(SCORED), "revision": 1, "state": "void", "reason": "no bar"}


@pytest.fixture
def published(desk: Desk) -> Desk:
    """Return a desk with one edition: forecast 1 of AAA and 2 of BBB."""
    for symbol in ("AAA", "BBB"):
        desk.add(History(symbol, AS_OF, random_closes(5, 1)))
    desk.add_walk(Strategy.MULTI_STEP)
    given = [Said(symbol, AS_OF, (T,), 1, quantiles=QUANTILES) for symbol in ("AAA", "BBB")]
    with desk.database.transaction() as connection:
        publish(connection, draft_of(*given), NOON, RECORDED)
    return desk


def pending(forecast_id: int, symbol: str) -> PendingForecast:
    return PendingForecast(forecast_id, symbol, AS_OF, T, 1, 1, 1, QUANTILES, 0, None, None, served=True)


FORECASTS = {1: pending(1, "AAA"), 2: pending(2, "BBB")}


def write(desk: Desk, *rows: dict[str, Any]) -> int:
    with desk.database.transaction() as connection:
        return publish_scores(connection, BATCH, rows, FORECASTS)


def faults(desk: Desk) -> list[str]:
    with desk.database.reading() as connection:
        return verify(connection)


def tamper(desk: Desk, statement: str) -> None:
    """Change a row as the owner of the file can: triggers dropped, foreign keys off."""
    path = desk.database.engine.url.database
    if not desk.database.is_sqlite or path is None:
        with desk.database.transaction() as connection:
            for table in ("scores", "score_batches"):
                connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            connection.exec_driver_sql(statement)
        return
    with sqlite3.connect(path) as connection:
        for table in ("scores", "score_batches"):
            for verb in ("update", "delete"):
                connection.execute(f"DROP TRIGGER {table}_no_{verb}")
        connection.execute(statement)
    connection.close()


def test_batches_are_numbered_from_one_and_name_the_hash_before(published: Desk) -> None:
    assert write(published, {"forecast_id": 1, **SCORED}) == 1
    assert write(published, {"forecast_id": 2, **VOID}) == 2
    first, second = published.rows(score_batches)
    assert (first.calendar, first.previous_hash, second.previous_hash) == ("XNYS", GENESIS, first.hash)
    assert [row.batch for row in published.rows(scores)] == [1, 2]
    assert faults(published) == []


def test_the_hash_covers_the_header_and_the_scores_with_their_forecasts(published: Desk) -> None:
    """The document is written out here: a changed form of the hash fails this test."""
    write(published, {"forecast_id": 1, **SCORED, "error": -0.0})
    instants = {"scored_at": "2018-06-01T22:00:00.000000+00:00", "recorded_at": "2026-01-02T03:04:00.000000+00:00"}
    row = {**SCORED, **instants, "error": 0.0, "batch": 1, "edition": 1, "symbol": "AAA", "step": 1,
           "model_version_id": 1}  # fmt: skip
    header = {"number": 1, "calendar": "XNYS", "previous_hash": "0" * 64, **instants}
    text = json.dumps({"header": header, "scores": [row]}, sort_keys=True, separators=(",", ":"))
    assert published.rows(score_batches)[0].hash == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE scores SET pinball = 0.001 WHERE forecast_id = 1",
         ["score batch 1 was altered: its scores do not give its hash"]),
        ("UPDATE scores SET forecast_id = 2 WHERE forecast_id = 1",
         ["score batch 1 was altered: its scores do not give its hash"]),
        ("DELETE FROM scores WHERE forecast_id = 1", ["score batch 1 was altered: its scores do not give its hash"]),
        ("UPDATE score_batches SET calendar = 'XTKS' WHERE number = 2",
         ["score batch 2 was altered: its scores do not give its hash"]),
        ("UPDATE score_batches SET hash = 'f' WHERE number = 1",
         ["score batch 1 was altered: its scores do not give its hash",
          "score batch 2 does not name the hash of the score batch before it"]),
    ],
)  # fmt: skip
def test_verify_reports_altered_rows(published: Desk, statement: str, expected: list[str]) -> None:
    write(published, {"forecast_id": 1, **SCORED})
    write(published, {"forecast_id": 1, **SCORED, "revision": 3})
    tamper(published, statement + (" AND revision = 1" if "forecast_id = 1" in statement else ""))
    assert faults(published) == expected


def test_verify_reports_a_missing_batch(published: Desk) -> None:
    for revision in (1, 2, 3):
        write(published, {"forecast_id": 1, **SCORED, "revision": revision})
    tamper(published, "DELETE FROM scores WHERE batch = 2")
    with published.database.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM score_batches WHERE number = 2")
    assert faults(published) == [
        "score batch 2 is missing: the next one stored is 3",
        "score batch 3 does not name the hash of the score batch before it",
    ]


def test_the_database_refuses_changes(published: Desk) -> None:
    write(published, {"forecast_id": 1, **SCORED})
    with (
        pytest.raises(DBAPIError, match="the ledger is append-only: score_batches"),
        published.database.transaction() as connection,
    ):
        connection.execute(update(score_batches).values(calendar="XTKS"))


def test_a_nan_is_not_written(published: Desk) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write(published, {"forecast_id": 1, **SCORED, "actual": float("nan")})
    assert published.rows(score_batches) == []
