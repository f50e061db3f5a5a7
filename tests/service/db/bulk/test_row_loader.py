"""Fast inserts: the ordinary columns return the same values."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from service.db.bulk.row_loader import (
    days_array,
    driver_days,
    driver_instant,
    driver_instants,
    floats_array,
    instants_array,
    nullable,
    read_columns,
    write_columns,
    write_rows,
)
from service.db.session import Database
from service.db.tables import change_counters, runs, sessions

COLUMNS = ("calendar", "session", "open_at", "close_at", "state", "approximate")


def put(database: Database, rows: int) -> None:
    days = np.datetime64("2000-01-01") + np.arange(rows)
    with database.transaction() as connection:
        opens = driver_instants(connection, days.astype("datetime64[s]") + np.timedelta64(14, "h"))
        closes = driver_instants(connection, days.astype("datetime64[s]") + np.timedelta64(21, "h"))
        listed = zip(driver_days(days), opens, closes, strict=True)
        write_rows(connection, sessions, COLUMNS, [("XNYS", *one, "expected", False) for one in listed])


def test_values_read_back(database: Database) -> None:
    put(database, 3)
    with database.reading() as connection:
        rows = connection.execute(select(sessions).order_by(sessions.c.session)).all()
    assert tuple(rows[2]) == (
        "XNYS", date(2000, 1, 3), datetime(2000, 1, 3, 14, tzinfo=UTC), datetime(2000, 1, 3, 21, tzinfo=UTC),
        "expected", False,
    )  # fmt: skip


def test_days_are_iso_text() -> None:
    days = np.array(["1969-12-31", "1970-01-01", "2024-02-29", "1969-12-31"], "datetime64[D]")
    assert driver_days(days) == ["1969-12-31", "1970-01-01", "2024-02-29", "1969-12-31"]
    assert driver_days(days.astype("datetime64[s]")[2:3]) == ["2024-02-29"]


def test_more_rows_than_one_statement_holds(database: Database) -> None:
    put(database, 2000)
    with database.reading() as connection:
        days, closes = read_columns(connection, select(sessions.c.session, sessions.c.close_at))
    assert days_array(days)[[0, -1]].tolist() == [date(2000, 1, 1), date(2005, 6, 22)]
    assert instants_array(closes)[0] == np.datetime64("2000-01-01T21:00:00")
    assert len(closes) == 2000


def test_a_conflict_updates_the_named_columns_or_fails(database: Database) -> None:
    with database.transaction() as connection:
        assert write_rows(connection, change_counters, ("scope", "counter"), [("A", 1), ("B", 1)]) == 2
        write_rows(connection, change_counters, ("scope", "counter"), [("A", 5)], ("counter",))
        assert read_columns(connection, select(change_counters.c.counter).order_by(change_counters.c.scope)) == (
            (5, 1),
        )
    with pytest.raises(IntegrityError), database.transaction() as connection:
        write_rows(connection, change_counters, ("scope", "counter"), [("A", 6)])


def test_many_rows_update_the_named_columns_only(database: Database) -> None:
    names = [f"S{place}" for place in range(150)]
    with database.transaction() as connection:
        write_columns(connection, change_counters, {"scope": names, "counter": [1] * 150})
    with database.transaction() as connection:
        mixed = [*names[100:], "T", *names[:99]]
        assert write_columns(connection, change_counters, {"scope": mixed, "counter": [2] * 150}, ("counter",)) == 150
        write_columns(connection, change_counters, {"scope": names[:120], "counter": [3] * 120}, ("counter",))
        found = {row.scope: row.counter for row in connection.execute(select(change_counters))}
    assert (found["S0"], found["S119"], found["S120"], found["T"], len(found)) == (3, 3, 2, 2, 151)


def test_a_conflict_among_many_rows_raises_and_writes_nothing(database: Database) -> None:
    names = [f"S{place}" for place in range(150)]
    with database.transaction() as connection:
        write_rows(connection, change_counters, ("scope", "counter"), [("S149", 7)])
    with pytest.raises(IntegrityError), database.transaction() as connection:
        write_columns(connection, change_counters, {"scope": names, "counter": [1] * 150})
    with database.reading() as connection:
        assert connection.execute(select(change_counters)).all() == [("S149", 7)]


def test_special_texts_and_nulls_are_read_back(database: Database) -> None:
    texts = ["a\tb", "back\\slash", "\\N", "two\nlines", "ü €", "\\."] * 20
    columns: dict[str, list[str | int | None]] = {
        "sequence": list(range(120)), "error": list(texts), "session": [None] * 120,
        **{name: ["x"] * 120 for name in ("job", "scope", "state")},
        **{name: [0] * 120 for name in ("attempt", "token", "faults", "takeovers")},
        "scheduled_for": ["2024-01-01 21:00:00.000000"] * 120, "counts": ["{}"] * 120, "warnings": ["[]"] * 120,
    }  # fmt: skip
    with database.transaction() as connection:
        write_columns(connection, runs, columns)
        found = connection.execute(select(runs.c.error, runs.c.session).order_by(runs.c.sequence)).all()
    assert [row.error for row in found] == texts
    assert {row.session for row in found} == {None}


def test_columns_equal_rows(database: Database) -> None:
    with database.transaction() as connection:
        assert write_columns(connection, change_counters, {"scope": ["A", "B"], "counter": [3, 4]}) == 2
        assert write_columns(connection, change_counters, {"scope": [], "counter": []}) == 0
        assert read_columns(connection, select(change_counters).order_by(change_counters.c.scope)) == (
            ("A", "B"),
            (3, 4),
        )
        with pytest.raises(ValueError, match="sequence of size 1"):
            write_columns(connection, change_counters, {"scope": ["C", "D"], "counter": [3]})


def test_unknown_columns_are_refused(database: Database) -> None:
    with database.transaction() as connection, pytest.raises(ValueError, match="change_counters has no column colour"):
        write_rows(connection, change_counters, ("scope", "colour"), [("A", 1)])


def test_no_rows(database: Database) -> None:
    with database.transaction() as connection:
        assert write_rows(connection, change_counters, ("scope", "counter"), []) == 0
        assert read_columns(connection, select(change_counters)) == ((), ())
    assert (len(days_array(())), len(instants_array(())), len(floats_array(()))) == (0, 0, 0)


def test_nulls_both_ways() -> None:
    assert nullable(np.array([1.5, np.nan])) == [1.5, None]
    assert nullable(np.array([1.5, 2.0])) == [1.5, 2.0]
    assert np.isnan(floats_array((None, 2.0))).tolist() == [True, False]


def test_instants_are_utc_and_never_naive(database: Database) -> None:
    tokyo = timezone(timedelta(hours=9))
    with database.reading() as connection:
        expected = "2024-01-01 21:00:00.000000" if database.is_sqlite else "2024-01-01T21:00:00.000000+00:00"
        assert driver_instant(connection, datetime(2024, 1, 2, 6, tzinfo=tokyo)) == expected
        with pytest.raises(ValueError, match="naive"):
            driver_instant(connection, datetime(2024, 1, 2, 6))  # noqa: DTZ001
    assert instants_array([datetime(2024, 1, 2, 6, tzinfo=tokyo)])[0] == np.datetime64("2024-01-01T21:00:00")
