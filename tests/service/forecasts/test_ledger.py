"""The ledger: numbers without gaps, a chain of hashes, and the faults that `verify` reports after tampering."""

import hashlib
import json
import sqlite3
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import inspect, text, update
from sqlalchemy.exc import DBAPIError

from models.config import Strategy
from service.db.tables import change_counters, editions, forecasts, scores, served_forecasts
from service.forecasts.ledger import GENESIS, publish, verify
from service.forecasts.publication import NewForecast, Publication, ServedForecast
from tests.support.forecast_factory import Desk, History, Said, draft_of, quantiles_of, random_closes, utc
from tests.support.score_batches import add_scores

AS_OF, T, T1, T2 = date(2018, 5, 31), date(2018, 6, 1), date(2018, 6, 4), date(2018, 6, 5)
GUARDED = ("editions", "forecasts", "served_forecasts")
ISSUED, RECORDED = utc(2018, 5, 31, 22), utc(2026, 1, 2, 3, 4)


@pytest.fixture
def desk_with_two(desk: Desk) -> Desk:
    """Return a desk with two symbols and a random walk, nothing published."""
    for symbol in ("AAA", "BBB"):
        desk.add(History(symbol, AS_OF, random_closes(5, 1)))
    desk.add_walk(Strategy.MULTI_STEP)
    return desk


def publish_three(desk: Desk) -> list[int]:
    numbers = []
    for day, shift in ((0, 0.0), (1, 0.001), (2, 0.002)):
        as_of = date(2018, 5, 29 + day)
        shape = tuple(value + shift for value in (-0.06, -0.04, -0.02, 0.0, 0.02, 0.04, 0.06))
        given = [Said(symbol, as_of, (T, T1, T2), 1, quantiles=shape) for symbol in ("AAA", "BBB")]
        with desk.database.transaction() as connection:
            numbers.append(publish(connection, draft_of(*given), ISSUED, RECORDED))
    return numbers


def faults(desk: Desk) -> list[str]:
    with desk.database.reading() as connection:
        return verify(connection)


def tamper(desk: Desk, *statements: str) -> None:
    """Change rows as the owner of the database can: triggers dropped, foreign keys off."""
    if not desk.database.is_sqlite:
        tamper_with_postgres(desk, *statements)
        return
    path = desk.database.engine.url.database
    assert path is not None
    connection = sqlite3.connect(Path(path))
    for table in GUARDED:
        connection.execute(f"DROP TRIGGER {table}_no_update")
        connection.execute(f"DROP TRIGGER {table}_no_delete")
    for statement in statements:
        assert connection.execute(statement).rowcount > 0
    connection.commit()
    connection.close()


def tamper_with_postgres(desk: Desk, *statements: str) -> None:
    with desk.database.transaction() as connection:
        for table in GUARDED:
            connection.exec_driver_sql(f"DROP TRIGGER {table}_append_only ON {table}")
            for key in inspect(connection).get_foreign_keys(table):
                connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {key['name']}")
        for statement in statements:
            assert connection.exec_driver_sql(statement).rowcount > 0


def test_the_hash_of_an_edition_is_the_hash_of_its_canonical_json(desk_with_two: Desk) -> None:
    step = NewForecast(
        "AAA", AS_OF, 1, T, "one_step", 1, 1, 2, 100.5, 0.02,
        (-0.07, -0.05, -0.03, 0.0, 0.03, 0.05, 0.07), (-0.06, -0.04, -0.02, 0.001, 0.02, 0.04, 0.06), ("SPY",),
    )  # fmt: skip
    item = ServedForecast("AAA", "one_step", 1, "the random walk serves until a network is trained and accepted")
    draft = Publication("replay", "XNYS", AS_OF, None, (step,), (item,))
    with desk_with_two.database.transaction() as connection:
        assert publish(connection, draft, ISSUED, RECORDED) == 1
    document = {
        "header": {
            "number": 1,
            "mode": "replay",
            "calendar": "XNYS",
            "as_of": "2018-05-31",
            "issued_at": "2018-05-31T22:00:00.000000+00:00",
            "recorded_at": "2026-01-02T03:04:00.000000+00:00",
            "previous_hash": 64 * "0",
        },
        "forecasts": [
            {
                "edition": 1, "symbol": "AAA", "as_of": "2018-05-31", "step": 1, "target_session": "2018-06-01",
                "strategy": "one_step", "model_version_id": 1, "revision": 1, "basis": 2, "last_close": 100.5,
                "sigma": 0.02, "raw_q025": -0.07, "raw_q10": -0.05, "raw_q25": -0.03, "raw_q50": 0.0,
                "raw_q75": 0.03, "raw_q90": 0.05, "raw_q975": 0.07, "q025": -0.06, "q10": -0.04, "q25": -0.02,
                "q50": 0.001, "q75": 0.02, "q90": 0.04, "q975": 0.06, "degraded": ["SPY"],
            }
        ],
        "items": [
            {
                "edition": 1, "symbol": "AAA", "strategy": "one_step", "model_version_id": 1,
                "reason": "the random walk serves until a network is trained and accepted",
            }
        ],
    }  # fmt: skip
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    (edition,) = desk_with_two.rows(editions)
    assert edition.hash == hashlib.sha256(canonical.encode()).hexdigest()
    assert edition.hash == "89e07cb4d6f40e7ba0dfab7d5f073203d48a228c24f32fd141873918ab053e6a"
    assert faults(desk_with_two) == []


def test_numbers_have_no_gaps_and_each_edition_names_the_hash_before_it(desk_with_two: Desk) -> None:
    assert publish_three(desk_with_two) == [1, 2, 3]
    stored = desk_with_two.rows(editions)
    assert [row.previous_hash for row in stored] == [GENESIS, stored[0].hash, stored[1].hash]
    assert len({row.hash for row in stored}) == 3
    assert faults(desk_with_two) == []


def test_a_publish_that_is_rolled_back_leaves_no_gap(desk_with_two: Desk) -> None:
    given = Said("AAA", AS_OF, (T, T1, T2), 1)
    with desk_with_two.database.engine.connect() as connection:
        assert publish(connection, draft_of(given), ISSUED, RECORDED) == 1
        connection.rollback()
    assert publish_three(desk_with_two) == [1, 2, 3]
    assert faults(desk_with_two) == []


def test_stored_figures_are_read_back_bit_for_bit(desk_with_two: Desk) -> None:
    awkward = (-1e308, -0.1 - 1e-17, -5e-324, 1 / 3, 2 / 3, 0.1 + 0.2, 1.7976931348623157e308)
    with desk_with_two.database.transaction() as connection:
        publish(connection, draft_of(Said("AAA", AS_OF, (T,), 1, quantiles=awkward)), ISSUED, RECORDED)
    (row,) = desk_with_two.rows(forecasts)
    assert quantiles_of(row) == awkward
    assert faults(desk_with_two) == []


def test_a_negative_zero_is_not_reported_as_tampering(desk_with_two: Desk) -> None:
    quantiles = (-0.06, -0.04, -0.0, -0.0, 0.02, 0.04, 0.06)
    with desk_with_two.database.transaction() as connection:
        publish(connection, draft_of(Said("AAA", AS_OF, (T,), 1, quantiles=quantiles)), ISSUED, RECORDED)
    assert faults(desk_with_two) == []


def test_a_publish_raises_the_counters_of_its_symbols(desk_with_two: Desk) -> None:
    before = {row.scope: row.counter for row in desk_with_two.rows(change_counters)}
    with desk_with_two.database.transaction() as connection:
        publish(connection, draft_of(Said("AAA", AS_OF, (T,), 1)), ISSUED, RECORDED)
    after = {row.scope: row.counter for row in desk_with_two.rows(change_counters)}
    assert after[""] == before[""] + 1
    assert (after["AAA"], after.get("BBB")) == (1, None)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE forecasts SET q50 = q50 + 1e-9 WHERE id = 8", "edition 2 was altered: its rows do not give its hash"),
        ("UPDATE forecasts SET degraded = '[\"SPY\"]' WHERE id = 8", "edition 2 was altered"),
        ("DELETE FROM forecasts WHERE id = 8", "edition 2 was altered"),
        ("UPDATE editions SET issued_at = '2018-05-31 21:00:00.000000' WHERE number = 2", "edition 2 was altered"),
        ("UPDATE editions SET mode = 'live' WHERE number = 2", "edition 2 was altered"),
        ("UPDATE served_forecasts SET reason = 'better' WHERE edition = 2 AND symbol = 'BBB'", "edition 2 was altered"),
        ("DELETE FROM served_forecasts WHERE edition = 2 AND symbol = 'AAA'", "edition 2 was altered"),
    ],
)
def test_verify_reports_an_altered_row(desk_with_two: Desk, statement: str, expected: str) -> None:
    publish_three(desk_with_two)
    tamper(desk_with_two, statement)
    found = faults(desk_with_two)
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_verify_reports_served_forecasts_swapped_between_symbols(desk_with_two: Desk) -> None:
    publish_three(desk_with_two)
    tamper(
        desk_with_two,
        "UPDATE served_forecasts SET symbol = 'x' WHERE edition = 3 AND symbol = 'AAA'",
        "UPDATE served_forecasts SET symbol = 'AAA', reason = 'swapped' WHERE edition = 3 AND symbol = 'BBB'",
        "UPDATE served_forecasts SET symbol = 'BBB' WHERE edition = 3 AND symbol = 'x'",
    )
    assert faults(desk_with_two) == ["edition 3 was altered: its rows do not give its hash"]


@pytest.mark.parametrize("removed", [1, 2])
def test_verify_reports_a_removed_edition(desk_with_two: Desk, removed: int) -> None:
    publish_three(desk_with_two)
    tamper(
        desk_with_two,
        *(f"DELETE FROM {table} WHERE edition = {removed}" for table in ("forecasts", "served_forecasts")),
        f"DELETE FROM editions WHERE number = {removed}",
    )
    assert faults(desk_with_two) == [
        f"edition {removed} is missing: the next one stored is {removed + 1}",
        f"edition {removed + 1} does not name the hash of the edition before it",
    ]


def test_an_edition_rewritten_with_its_own_hash_breaks_the_next_link(desk_with_two: Desk) -> None:
    publish_three(desk_with_two)
    tamper(desk_with_two, "UPDATE editions SET hash = 'f' WHERE number = 1")
    assert faults(desk_with_two) == [
        "edition 1 was altered: its rows do not give its hash",
        "edition 2 does not name the hash of the edition before it",
    ]


@pytest.mark.parametrize("table", [editions, forecasts, served_forecasts], ids=lambda table: str(table.name))
@pytest.mark.parametrize("verb", ["UPDATE {} SET {} = 1", "DELETE FROM {}"])
def test_the_database_refuses_updates_and_deletions(desk_with_two: Desk, table: object, verb: str) -> None:
    publish_three(desk_with_two)
    name, column = str(table), "number" if str(table) == "editions" else "edition"
    with (
        pytest.raises(DBAPIError, match=f"the ledger is append-only: {name}"),
        desk_with_two.database.transaction() as connection,
    ):
        connection.execute(text(verb.format(name, column)))


def test_scores_are_append_only(desk_with_two: Desk) -> None:
    publish_three(desk_with_two)
    values = {"forecast_id": 1, "revision": 1, "state": "void", "scored_at": ISSUED, "recorded_at": RECORDED}
    with desk_with_two.database.transaction() as connection:
        add_scores(connection, [values], ISSUED)
    with (
        pytest.raises(DBAPIError, match="the ledger is append-only: scores"),
        desk_with_two.database.transaction() as connection,
    ):
        connection.execute(update(scores).values(state="scored"))


def test_a_nan_is_not_published(desk_with_two: Desk) -> None:
    given = Said("AAA", AS_OF, (T,), 1, quantiles=(-0.06, -0.04, -0.02, float("nan"), 0.02, 0.04, 0.06))
    with pytest.raises(ValueError, match="JSON"), desk_with_two.database.transaction() as connection:
        publish(connection, draft_of(given), ISSUED, RECORDED)
    assert desk_with_two.rows(editions) == []
