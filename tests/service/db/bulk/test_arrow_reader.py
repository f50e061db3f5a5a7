"""Rows as Arrow batches of a second connection, which sees what the caller's transaction sees."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from sqlalchemy import Select, func, insert, literal, literal_column, select, update

from service.db.bulk.arrow_reader import read_arrow, statement_of
from service.db.change_counters import raise_changes
from service.db.engine import sqlite_file
from service.db.session import Database
from service.db.tables import bars, instruments

AT = datetime(2024, 3, 1, 22, 30, tzinfo=UTC)
SYMBOLS = ("AB", "O'NEIL%", "ÄÖ-1")
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def filled(database: Database) -> Database:
    """A database with 20 bars of three symbols; the second symbol has no volume."""
    with database.transaction() as connection:
        rest = {"instrument_type": "EQUITY", "group": "equity", "calendar": "XNYS", "active": True, "reference": False}
        rest |= {"basis": 1, "state": "new", "state_since": AT, "added_at": AT}
        connection.execute(insert(instruments), [{"symbol": symbol} | rest for symbol in SYMBOLS])
        stamp = {"source": "made", "fetched_at": AT, "revision": 1}
        connection.execute(
            insert(bars),
            [
                {"symbol": symbol, "session": date(1999, 12, 25) + timedelta(days=day), "close": place + day / 4}
                | {"volume": None if place == 1 else 7.0}
                | stamp
                for place, symbol in enumerate(SYMBOLS)
                for day in range(20)
            ],
        )
        raise_changes(connection, ())
    return database


def query(symbols: tuple[str, ...] = SYMBOLS) -> Select[tuple[str, date, float, float]]:
    volume = func.coalesce(bars.c.volume, literal(-1.0))
    chosen = select(bars.c.symbol, bars.c.session, bars.c.close, volume).where(bars.c.symbol.in_(symbols))
    return chosen.order_by(bars.c.symbol, bars.c.session)


def rows(batches: Iterator[pa.RecordBatch]) -> list[tuple[object, ...]]:
    """Return the rows of all batches, the sessions as ISO dates."""
    found = []
    for batch in batches:
        columns = [column.to_pylist() for column in batch.columns]
        found += [(row[0], str(row[1]), *row[2:]) for row in zip(*columns, strict=True)]
    return found


def test_rows_are_those_of_the_query_for_any_symbol(filled: Database) -> None:
    with filled.reading() as connection:
        read = read_arrow(connection, query(SYMBOLS[1:]), rows)
    assert read is not None
    assert len(read) == 40
    assert read[0] == ("O'NEIL%", "1999-12-25", 1.0, -1.0)
    assert read[8] == ("O'NEIL%", "2000-01-02", 3.0, -1.0)
    assert read[-1] == ("ÄÖ-1", "2000-01-13", 6.75, 7.0)


def test_another_processs_later_commit_is_not_read(filled: Database) -> None:
    with filled.reading() as connection:
        connection.execute(select(bars.c.close)).first()  # fixes the state that the transaction sees
        with filled.transaction() as other:
            other.execute(update(bars).values(close=99.0))
            raise_changes(other, ())
        read = read_arrow(connection, query(), rows)
    if filled.is_sqlite:
        assert read is None  # no second connection can see the older state: the caller reads by its own
    else:
        assert read is not None
        assert max(row[2] for row in read if isinstance(row[2], float)) == 6.75
    with filled.reading() as connection:
        newer = read_arrow(connection, query(), rows)
    assert newer is not None
    assert {row[2] for row in newer} == {99.0}


@POSTGRESQL
def test_a_connection_that_cannot_be_opened_leaves_the_read_to_the_caller(
    filled: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = "host=127.0.0.1 port=1 password=not-the-password"
    monkeypatch.setattr("service.db.bulk.arrow_reader.make_conninfo", lambda *_, **__: wrong)
    with filled.reading() as connection:
        assert read_arrow(connection, query(), rows) is None
        assert connection.execute(select(func.count()).select_from(bars)).scalar_one() == 60
    assert "read by the slower driver" in caplog.text
    assert "not-the-password" not in caplog.text


@POSTGRESQL
def test_the_second_connection_has_the_options_of_the_first(filled: Database) -> None:
    options = "-c search_path=public -c statement_timeout=70000"
    database = Database(filled.engine.url.update_query_dict({"options": options}).render_as_string(False))
    shown = select(func.current_setting("statement_timeout"), func.current_setting("search_path"))
    with database.reading() as connection:
        assert read_arrow(connection, shown, lambda found: next(found).to_pylist()) == [
            {"current_setting_1": "70s", "current_setting_2": "public"}
        ]
    database.close()


@SQLITE
def test_a_read_leaves_the_file_locks_of_this_process(filled: Database) -> None:
    """Without them another process that closes the file removes the write-ahead log, and later commits with it."""
    with filled.reading() as connection:
        assert read_arrow(connection, query(), rows) is not None
        in_another_process(filled, "SELECT 1")
    with filled.transaction() as connection:
        connection.execute(update(bars).values(close=99.0))
        assert read_arrow(connection, query(), rows) is not None
        assert "locked" in in_another_process(filled, "UPDATE bars SET close = 1")
    assert in_another_process(filled, "SELECT max(close) FROM bars") == "99.0"


@SQLITE
def test_a_process_that_fails_leaves_the_read_to_the_caller(filled: Database, caplog: pytest.LogCaptureFixture) -> None:
    with filled.reading() as connection:
        assert read_arrow(connection, select(literal_column("no_column")).select_from(bars), rows) is None
    assert "read by the slower driver, because ADBC failed (its process ended with status 1)" in caplog.text


def in_another_process(database: Database, statement: str) -> str:
    """Run a statement on the file in a process of its own; return its first value or its error."""
    code = (
        "import sqlite3, sys\nconnection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0.1)\n"
        "try: print(*(connection.execute(sys.argv[2]).fetchone() or ()))\n"
        "except sqlite3.OperationalError as error: print(error)\nconnection.close()"
    )
    command = [sys.executable, "-c", code, str(sqlite_file(database.url)), statement]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_database_in_memory_has_no_second_connection() -> None:
    database = Database("sqlite:///:memory:")
    with database.reading() as connection:
        assert read_arrow(connection, query(), rows) is None
    database.close()


def test_a_path_with_spaces_and_marks_is_read(tmp_path: Path, migrated_file: Path) -> None:
    path = tmp_path / "a b#cÄ.db"
    path.write_bytes(migrated_file.read_bytes())
    database = Database(f"sqlite:///{path}")
    with database.reading() as connection:
        assert read_arrow(connection, query(), rows) == []
    database.close()


def test_values_are_quoted_in_the_statement(filled: Database) -> None:
    with filled.reading() as connection:
        text = statement_of(connection, query(("O'NEIL%",)))
    assert "'O''NEIL%'" in text
