"""A database copied from one kind to the other and back: every value, the hash chain, the next ids."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select, text

from models.config import Strategy
from service.db.copy_database import copy_database
from service.db.migrate import downgrade, upgrade
from service.db.row_hashes import Digest, digest
from service.db.session import Database
from service.db.tables import audit, editions, forecasts, metadata, run_requests, scores
from service.errors import DatabaseError
from service.forecasts.ledger import publish, verify
from service.forecasts.scoring.outcomes import PendingForecast
from service.forecasts.scoring.score_batches import ScoreBatch, publish_scores
from tests.support.forecast_factory import History, Said, draft_of, open_desk, random_closes

QUANTILES = (-0.1 - 1e-17, -5e-324, 0.0, 1 / 3, 2 / 3, 0.1 + 0.2, 1.7976931348623157e308)
FORECAST = PendingForecast(
    1, "AAA", date(2018, 5, 30), date(2018, 6, 1), 1, 1, 1, QUANTILES, 0, None, None, served=True
)
AT = datetime(2024, 1, 31, 22, 30, 0, 123456, tzinfo=UTC)


@pytest.fixture
def filled(database: Database, tmp_path: Path) -> Database:
    """Editions with their forecasts, a score, bars, and rows with special values."""
    desk = open_desk(database, tmp_path)
    desk.add(History("AAA", date(2018, 5, 31), random_closes(300, 1)))
    desk.add_walk(Strategy.MULTI_STEP)
    for day in (30, 31):
        forecast = Said("AAA", date(2018, 5, day), (date(2018, 6, 1),), 1, quantiles=QUANTILES)
        with database.transaction() as connection:
            publish(connection, draft_of(forecast), AT, AT)
    detail = {"b": [1e16, 1e-9, 0.1, -0.0, None], "a": "ü\n€"}
    with database.transaction() as connection:
        for place in range(150):
            values = {"at": AT, "actor": "a\tb\\N", "action": "copy", "subject": str(place), "detail": detail}
            connection.execute(insert(audit).values(values))
        values = {"forecast_id": 1, "revision": 1, "state": "scored", "reason": None, "bars_revision": 2,
                  "actions_revision": 0, "actual": 0.1 + 0.2, "pinball": 1e-17, "inside_50": True, "inside_80": False,
                  "inside_95": True}  # fmt: skip
        publish_scores(connection, ScoreBatch("XNYS", AT, AT, None), [{**values, "error": -0.0}], {1: FORECAST})
        common = {"kind": "run", "state": "due", "created_at": AT, "body": {}, "body_hash": "b"}
        connection.execute(insert(run_requests).values(**common, error="no result at all"))
        connection.execute(insert(run_requests).values(**common, error="a result that is null", result=None))
    return database


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Another empty database, of either kind."""
    path = tmp_path / "target.db"
    opened = Database(
        f"sqlite:///{path}" if request.param == "sqlite" else request.getfixturevalue("second_postgres_url")
    )
    upgrade(opened)
    yield opened
    opened.close()


def nothing() -> None:
    return


def no_faults(_connection: Connection) -> list[str]:
    return []


def counts(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }


def test_every_row_is_copied_and_the_next_ids_follow(filled: Database, target: Database) -> None:
    copied = copy_database(filled, target, verify, nothing)
    assert counts(target) == counts(filled) == {name: found.rows for name, found in copied.items()}
    assert (copied["editions"].rows, copied["bars"].rows, copied["audit"].rows) == (2, 300, 150)
    with filled.reading() as old, target.reading() as new:
        assert verify(new) == []
        for table in (editions, forecasts, scores, audit, run_requests):
            query = select(table).order_by(next(iter(table.primary_key.columns)))
            assert old.execute(query).all() == new.execute(query).all()
        query = select(run_requests.c.error).where(run_requests.c.result.is_(text("NULL")))
        assert new.execute(query).scalars().all() == ["no result at all"]
    with target.transaction() as connection:
        values = {"at": AT, "actor": "me", "action": "copy", "subject": "next", "detail": {}}
        assert connection.execute(insert(audit).values(values).returning(audit.c.id)).scalar_one() == 151


def test_a_copy_of_a_copy_equals_the_original(filled: Database, target: Database, tmp_path: Path) -> None:
    there = copy_database(filled, target, verify, nothing)
    back = Database(f"sqlite:///{tmp_path / 'back.db'}")
    assert copy_database(target, back, verify, nothing) == there
    back.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # the target is what differs
def test_a_target_with_rows_is_refused_and_unchanged(filled: Database, target: Database) -> None:
    with target.transaction() as connection:
        values = {"at": AT, "actor": "me", "action": "x", "subject": "y", "detail": {}}
        connection.execute(insert(audit).values(values))
    with pytest.raises(DatabaseError, match=r"is not empty: audit has rows; use an empty database, nothing was"):
        copy_database(filled, target, verify, nothing)
    assert {name: rows for name, rows in counts(target).items() if rows} == {"audit": 1}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # the target is what differs
@pytest.mark.parametrize("fault", ["trigger", "check", "artifacts"])
def test_an_error_rolls_the_whole_copy_back(filled: Database, target: Database, fault: str) -> None:
    def cannot() -> None:
        raise DatabaseError("no room for the models")

    if fault == "trigger":
        _lose_a_row(target)
    check = (lambda _connection: ["edition 2 was altered"]) if fault == "check" else no_faults
    expected = {
        "trigger": r"audit differs after the copy \(150 rows were read, 149 written\): nothing was written into",
        "check": "^edition 2 was altered: nothing was written into",
        "artifacts": "^no room for the models$",
    }
    with pytest.raises(DatabaseError, match=expected[fault]):
        copy_database(filled, target, check, cannot if fault == "artifacts" else nothing)
    assert set(counts(target).values()) == {0}


def _lose_a_row(database: Database) -> None:
    """Make a database drop one of the rows silently."""
    with database.transaction() as connection:
        if database.is_sqlite:
            connection.exec_driver_sql(
                "CREATE TRIGGER lose BEFORE INSERT ON audit WHEN NEW.subject = '7' BEGIN SELECT RAISE(IGNORE); END"
            )
            return
        connection.exec_driver_sql(
            "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN IF NEW.subject = '7' THEN RETURN NULL; END IF; RETURN NEW; END $$"
        )
        connection.exec_driver_sql("CREATE TRIGGER lose BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION lose()")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # the target is what differs
def test_a_source_of_another_version_is_refused(database: Database, target: Database) -> None:
    downgrade(database, "1003")
    with pytest.raises(DatabaseError, match="is at migration 1003, this version needs 1012"):
        copy_database(database, target, verify, nothing)


def test_one_changed_value_changes_the_hash(filled: Database) -> None:
    with filled.transaction() as connection:
        before = digest(connection, run_requests)
        connection.exec_driver_sql("UPDATE run_requests SET error = 'x' WHERE id = 1")
        after = digest(connection, run_requests)
        connection.exec_driver_sql("UPDATE run_requests SET error = 'no result at all' WHERE id = 1")
        assert (before.rows, after.rows) == (2, 2)
        assert before != after
        assert digest(connection, run_requests) == before
        assert digest(connection, metadata.tables["stamp"]).rows == 1


def test_an_empty_table_has_the_hash_of_nothing(database: Database) -> None:
    with database.reading() as connection:
        assert digest(connection, audit) == Digest(0, 64 * "0")


def test_a_database_that_is_not_migrated_yet_is_migrated(database: Database, tmp_path: Path) -> None:
    target = Database(f"sqlite:///{tmp_path / 'new.db'}")
    assert set(copy_database(database, target, verify, nothing)) == set(metadata.tables)
    with target.reading() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one() == "1012"
    target.close()
