"""Migrations with data in every table: up, down, one step back and forth, and no drift from the declared tables."""

import re
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Date,
    Float,
    Integer,
    UniqueConstraint,
    delete,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from service.db.migrate import check, current_revision, downgrade, require_head, upgrade
from service.db.revision import HEAD
from service.db.session import Database
from service.db.tables import APPEND_ONLY, bars, instruments, metadata, stamp
from service.db.types import Instant
from service.errors import DatabaseError

LEDGER = {"editions", "forecasts", "served_forecasts", "score_batches", "scores", "track_records"}
MODELS = {
    "runs", "run_outcomes", "source_rate_limits", "model_versions", "model_decisions", "config_approvals",
    "calibration_states",
}  # fmt: skip
MARKET = {
    "instruments", "sessions", "bars", "bar_revisions", "corporate_actions", "corporate_action_revisions",
    "quarantine", "symbol_holds",
}  # fmt: skip
CONTROL = {"stamp", "market_clock", "schedulers", "run_requests", "change_counters", "api_keys", "audit"}
ACCESS = {"page_sessions"}
ALERTS = {"alert_subscriptions", "alert_events", "alert_deliveries", "alert_conditions", "alert_coverage"}
NEWER = ACCESS | ALERTS
"""Tables of the migrations after the first release."""


_ADDED = re.compile(r", (?=[a-z_]+ [A-Z])")
"""SQLite writes a column that was added behind the one before it, in the same line."""


def value_for(column: Column[Any]) -> object:
    """Something a column takes; equal types give equal values, so that references meet."""
    if isinstance(column.type, Instant):
        return datetime(2018, 6, 1, 20, 0, tzinfo=UTC)
    for kind, value in ((Boolean, True), (Integer, 1), (Float, 1.5), (Date, date(2018, 6, 1)), (JSON, {"a": [1]})):
        if isinstance(column.type, kind):
            return value
    return "x"


def fill(connection: Connection) -> None:
    """One row in every table."""
    for table in metadata.sorted_tables:
        connection.execute(insert(table).values({column.name: value_for(column) for column in table.columns}))


def rows(connection: Connection) -> dict[str, int]:
    """Rows by table, of those declared tables that exist."""
    there = set(inspect(connection).get_table_names())
    return {
        table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in metadata.sorted_tables
        if table.name in there
    }


def schema(connection: Connection) -> dict[str, list[str]]:
    """What every table and index is made of, sorted."""
    if connection.dialect.name == "postgresql":
        return postgres_schema(connection)
    query = "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index') AND sql IS NOT NULL"
    found = connection.exec_driver_sql(query).all()
    return {
        name: sorted(part.strip().rstrip(",") for line in sql.splitlines() for part in _ADDED.split(line))
        for name, sql in found
        if name != "alembic_version"
    }


def postgres_schema(connection: Connection) -> dict[str, list[str]]:
    queries = (
        "SELECT table_name, concat_ws(' ', column_name, udt_name, character_maximum_length, is_nullable) "
        "FROM information_schema.columns WHERE table_schema = 'public'",
        "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT conrelid::regclass::text, conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace",
    )
    found: dict[str, list[str]] = {}
    for query in queries:
        for table, line in connection.exec_driver_sql(query):
            found.setdefault(table, []).append(line)
    return {table: sorted(lines) for table, lines in found.items() if table != "alembic_version"}


def triggers(connection: Connection) -> set[str]:
    """Names of the triggers that migrations made."""
    query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    if connection.dialect.name == "postgresql":
        query = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
    return set(connection.exec_driver_sql(query).scalars())


def test_an_empty_file_has_no_revision_and_the_newest_one_is_the_head(empty: Database) -> None:
    with empty.reading() as connection:
        assert current_revision(connection) is None
    upgrade(empty)
    with empty.reading() as connection:
        assert current_revision(connection) == HEAD == "1012"
        assert set(rows(connection)) == CONTROL | MARKET | MODELS | LEDGER | NEWER


def test_each_step_brings_its_own_tables(empty: Database) -> None:
    expected: set[str] = set()
    steps = (
        ("1001", CONTROL),
        ("1002", MARKET),
        ("1003", MODELS),
        ("1004", LEDGER),
        ("1005", set()),
        ("1006", set()),
        ("1007", ACCESS),
        ("1008", set()),
        ("1009", ALERTS),
        ("1010", set()),
        ("1011", set()),
        ("1012", set()),
    )
    for revision, tables in steps:
        upgrade(empty, revision)
        expected |= tables
        with empty.reading() as connection:
            assert set(rows(connection)) == expected


def test_migrating_twice_changes_nothing(database: Database) -> None:
    with database.transaction() as connection:
        fill(connection)
        before = schema(connection)
    upgrade(database)
    with database.reading() as connection:
        assert schema(connection) == before
        assert set(rows(connection).values()) == {1}


def test_down_to_nothing_and_up_again_with_data_in_every_table(database: Database) -> None:
    with database.transaction() as connection:
        fill(connection)
        before = schema(connection)
        assert len(triggers(connection)) >= 5
    downgrade(database, "base")
    with database.reading() as connection:
        assert rows(connection) == {}
        assert triggers(connection) == set()
    upgrade(database)
    with database.transaction() as connection:
        assert schema(connection) == before
        assert set(rows(connection).values()) == {0}
        fill(connection)


def test_one_step_down_and_back_keeps_every_row_outside_the_ledger(database: Database) -> None:
    with database.transaction() as connection:
        fill(connection)
    downgrade(database, "1003")
    with database.reading() as connection:
        assert rows(connection) == dict.fromkeys(CONTROL | MARKET | MODELS, 1)
    upgrade(database)
    with database.reading() as connection:
        assert rows(connection) == dict.fromkeys(CONTROL | MARKET | MODELS, 1) | dict.fromkeys(LEDGER | NEWER, 0)


def test_each_step_down_with_data_leaves_the_steps_before_it(database: Database) -> None:
    with database.transaction() as connection:
        fill(connection)
    for revision, left in (("1003", CONTROL | MARKET | MODELS), ("1002", CONTROL | MARKET), ("1001", CONTROL)):
        downgrade(database, revision)
        with database.reading() as connection:
            assert rows(connection) == dict.fromkeys(left, 1)


def test_migrations_and_declared_tables_do_not_drift(database: Database) -> None:
    check(database)


@pytest.mark.parametrize(("database_url", "empty"), [("sqlite", "sqlite"), ("postgresql", "postgresql")], indirect=True)
def test_migrations_and_declared_tables_are_made_of_the_same(database: Database, empty: Database) -> None:
    with empty.transaction() as connection:
        metadata.create_all(connection)
        wanted = schema(connection)
    if not database.is_sqlite:  # held by triggers, see test_a_bar_needs_its_instrument
        wanted["bars"] = [line for line in wanted["bars"] if "fk_bars_symbol_instruments" not in line]
    with database.reading() as connection:
        assert schema(connection) == wanted


GUARDED = (
    *(("the ledger", table) for table in APPEND_ONLY if table != "audit"),
    ("the audit", "audit"),
)


def refused(database: Database, whole: str, table: str, statement: str) -> None:
    with database.reading() as connection:
        before = connection.exec_driver_sql(f"SELECT * FROM {table}").all()
    with (
        pytest.raises(DBAPIError, match=f"{whole} is append-only: {table}"),
        database.transaction() as connection,
    ):
        connection.exec_driver_sql(statement)
    with database.reading() as connection:
        assert connection.exec_driver_sql(f"SELECT * FROM {table}").all() == before != []


def test_every_append_only_table_is_named() -> None:
    assert set(APPEND_ONLY) == {
        "editions", "forecasts", "served_forecasts", "score_batches", "scores", "model_decisions", "config_approvals",
        "audit",
    }  # fmt: skip


@pytest.mark.parametrize(("whole", "table"), GUARDED)
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = {}", "DELETE FROM {}"])
def test_the_ledger_and_the_audit_refuse_changes(database: Database, whole: str, table: str, change: str) -> None:
    with database.transaction() as connection:
        fill(connection)
    column = next(iter(metadata.tables[table].columns)).name
    refused(database, whole, table, change.format(table, column, column))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("table", APPEND_ONLY)
def test_truncate_is_refused_on_postgresql(database: Database, table: str) -> None:
    with database.transaction() as connection:
        fill(connection)
    with database.reading() as connection:
        before = rows(connection)
    # CASCADE reaches other guarded tables: whichever is truncated first refuses.
    for statement in (f"TRUNCATE {table} CASCADE", "TRUNCATE runs, instruments CASCADE"):
        with (
            pytest.raises(DBAPIError, match=r"the (ledger|audit) is append-only"),
            database.transaction() as connection,
        ):
            connection.exec_driver_sql(statement)
    with database.reading() as connection:
        assert rows(connection) == before


def replacements() -> list[tuple[str, str, str]]:
    """Each guarded table with each of its unique keys: of what a replacing row shares with a stored one."""
    found = []
    for whole, table in GUARDED:
        columns = metadata.tables[table]
        uniques = [each for each in columns.constraints if isinstance(each, UniqueConstraint)]
        for key in (columns.primary_key, *uniques):
            found.append((whole, table, ",".join(column.name for column in key.columns)))
    return found


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("whole", "table", "key"), replacements())
@pytest.mark.parametrize("recursive", ["OFF", "ON"])
def test_insert_or_replace_is_refused_on_sqlite(
    database: Database, whole: str, table: str, key: str, recursive: str
) -> None:
    with database.transaction() as connection:
        fill(connection)
    kept = key.split(",")
    given = ", ".join(
        column.name if column.name in kept else f"{2 if isinstance(column.type, Integer) else column.name!r}"
        for column in metadata.tables[table].columns
    )
    # Foreign keys are off for one who rewrites a file.
    path = database.engine.url.database
    assert path is not None
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA recursive_triggers={recursive}")
        before = connection.execute(f"SELECT * FROM {table}").fetchall()
        for verb in ("INSERT OR REPLACE", "REPLACE"):
            with pytest.raises(sqlite3.IntegrityError, match=f"{whole} is append-only: {table}"):
                connection.execute(f"{verb} INTO {table} SELECT {given} FROM {table}")
        assert connection.execute(f"SELECT * FROM {table}").fetchall() == before


def test_derived_figures_may_be_written_anew(database: Database) -> None:
    with database.transaction() as connection:
        fill(connection)
    with database.transaction() as connection:
        connection.exec_driver_sql("UPDATE track_records SET n = 2")
        assert connection.exec_driver_sql("SELECT n FROM track_records").scalar_one() == 2


def test_a_second_stamp_is_refused(database: Database) -> None:
    with database.transaction() as connection:
        fill(connection)
    row = {column.name: value_for(column) for column in stamp.columns} | {"id": 2}
    with pytest.raises(IntegrityError, match="ck_stamp_single"), database.transaction() as connection:
        connection.execute(insert(stamp).values(row))


def test_a_database_of_a_newer_version_is_refused_and_untouched(database: Database) -> None:
    with database.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9001'")
        fill(connection)
    with pytest.raises(DatabaseError, match=r"is at migration 9001, this version knows up to 1012; install the newer"):
        upgrade(database)
    with database.reading() as connection:
        assert current_revision(connection) == "9001"
        assert set(rows(connection).values()) == {1}


@pytest.mark.parametrize("found", ["0001", "0007"])
def test_a_database_of_a_development_version_is_refused_and_untouched(database: Database, found: str) -> None:
    with database.transaction() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{found}'")
    words = rf"was made by an earlier development version \(migration {found}\).*start a new database"
    with pytest.raises(DatabaseError, match=words):
        upgrade(database)
    with database.reading() as connection:
        assert current_revision(connection) == found
        with pytest.raises(DatabaseError, match=words):
            require_head(connection, "sqlite:///old.db")


def test_a_file_that_is_no_database_is_refused_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("these are notes and no database, long enough to be looked at\n" * 40)
    notes = Database(f"sqlite:///{path}")
    with pytest.raises(DatabaseError, match=r"notes\.db cannot be opened: file is not a database; check the path"):
        upgrade(notes)
    notes.close()
    assert path.read_text().startswith("these are notes")


def test_a_bar_needs_its_instrument_and_keeps_it_in_every_way_of_writing(database: Database) -> None:
    with database.transaction() as connection:
        fill(connection)
        row = connection.execute(select(bars)).mappings().one()
    stranger = {**row, "symbol": "NOBODY"}
    with pytest.raises(IntegrityError), database.transaction() as connection:
        connection.execute(insert(bars).values(stranger))
    with pytest.raises(IntegrityError), database.transaction() as connection:
        connection.execute(update(bars).values(symbol="NOBODY"))
    with pytest.raises(IntegrityError), database.transaction() as connection:
        connection.execute(delete(instruments))
    with database.reading() as connection:
        assert connection.execute(select(bars)).mappings().one() == row
