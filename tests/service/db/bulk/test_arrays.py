"""Rows written as arrays: both databases return the same values, for each way of writing."""

from datetime import UTC, date, datetime

import numpy as np
import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from service.db.bulk.arrays import ArrayColumn, write_arrays
from service.db.bulk.pg_binary import day_field, encode_rows, float_field, instant_field, integer_field, text_field
from service.db.session import Database
from service.db.tables import bar_revisions, bars, instruments, sessions

AT = datetime(2024, 3, 1, 22, 30, 0, 123456, tzinfo=UTC)
FIGURES = ("open", "high", "low", "close", "volume")
POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def listed(database: Database) -> Database:
    """A database with the symbol ÄÖ-1."""
    row = {"symbol": "ÄÖ-1", "instrument_type": "EQUITY", "group": "equity", "calendar": "XNYS", "active": True}
    with database.transaction() as connection:
        rest = {"reference": False, "basis": 1, "state": "new", "state_since": AT, "added_at": AT}
        connection.execute(insert(instruments).values(row | rest))
    return database


def columns(count: int, close: float = 1.5) -> dict[str, ArrayColumn]:
    """Return bars from 1999-12-31 on; every third has no open, and none a volume."""
    figures = {name: np.full(count, close) for name in FIGURES}
    figures["open"][::3] = np.nan
    figures["volume"][:] = np.nan
    return {
        "symbol": "ÄÖ-1",
        "session": np.datetime64("1999-12-31") + np.arange(count),
        **figures,
        "source": "",
        "fetched_at": AT,
        "revision": np.ones(count, np.int64),
    }


@pytest.mark.parametrize("count", [4, 100, 700])
def test_written_values_are_read_back(listed: Database, count: int) -> None:
    with listed.transaction() as connection:
        assert write_arrays(connection, bars, columns(count)) == count
    with listed.reading() as connection:
        rows = connection.execute(select(bars).order_by(bars.c.session)).all()
    assert len(rows) == count
    assert tuple(rows[0]) == ("ÄÖ-1", date(1999, 12, 31), None, 1.5, 1.5, 1.5, None, "", AT, 1, None)
    assert tuple(rows[1]) == ("ÄÖ-1", date(2000, 1, 1), 1.5, 1.5, 1.5, 1.5, None, "", AT, 1, None)
    assert [row.open for row in rows[2:4]] == [1.5, None]


@pytest.mark.parametrize("count", [4, 150])
def test_a_conflict_updates_the_named_columns_or_fails(listed: Database, count: int) -> None:
    with listed.transaction() as connection:
        write_arrays(connection, bars, columns(count))
    with pytest.raises(IntegrityError), listed.transaction() as connection:
        write_arrays(connection, bars, columns(count, 3.0))
    with listed.transaction() as connection:
        write_arrays(connection, bars, columns(count, 2.5) | {"revision": np.full(count, 2)}, ("close", "revision"))
        found = set(connection.execute(select(bars.c.close, bars.c.high, bars.c.revision)).all())
    assert found == {(2.5, 1.5, 2)}


@pytest.mark.parametrize("count", [4, 150])
def test_an_unknown_symbol_is_refused_and_nothing_written(listed: Database, count: int) -> None:
    with pytest.raises(IntegrityError), listed.transaction() as connection:
        write_arrays(connection, bars, columns(count) | {"symbol": "GONE"})
    with listed.reading() as connection:
        assert connection.execute(select(bars)).all() == []


@pytest.mark.parametrize("count", [4, 150])
def test_instants_by_row_and_numbers_for_all_rows(listed: Database, count: int) -> None:
    values = columns(count)
    del values["source"]
    fetched = np.datetime64("1969-12-31T23:59:58", "s") + np.arange(count)
    values |= {"fetched_at": fetched, "replaced_at": AT, "basis": 7}
    with listed.transaction() as connection:
        write_arrays(connection, bar_revisions, values)
        rows = connection.execute(select(bar_revisions).order_by(bar_revisions.c.session)).all()
    assert [rows[0].fetched_at, rows[3].fetched_at] == [
        datetime(1969, 12, 31, 23, 59, 58, tzinfo=UTC),
        datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
    ]
    assert {(row.basis, row.replaced_at) for row in rows} == {(7, AT)}


def test_values_that_do_not_fit_are_reported(listed: Database) -> None:
    wrong = [
        ({"colour": 1}, "bars has no column colour"),
        ({"session": np.array(["2000-01-01"], "datetime64[D]")}, r"arrays have lengths \[1, 150\]"),
        ({"fetched_at": datetime(2024, 1, 1)}, "naive"),  # noqa: DTZ001
    ]
    for values, words in wrong:
        with listed.transaction() as connection, pytest.raises(ValueError, match=words):
            write_arrays(connection, bars, {**columns(150), **values})  # type: ignore[dict-item]
    with listed.transaction() as connection, pytest.raises(ValueError, match=r"lengths \[\]"):
        write_arrays(connection, bars, {"symbol": "ÄÖ-1"})


@POSTGRESQL
def test_types_without_a_binary_form_are_refused(listed: Database) -> None:
    days = np.datetime64("2000-01-01") + np.arange(150)
    holed = days.copy()
    holed[3] = np.datetime64("NaT")
    wrong = [
        ({"session": holed}, "NaT"),
        ({"revision": np.full(150, 2**31)}, "does not fit into 4 bytes"),
        ({"source": 5}, "bars.source takes VARCHAR"),
    ]
    for values, words in wrong:
        with listed.transaction() as connection, pytest.raises(ValueError, match=words):
            write_arrays(connection, bars, {**columns(150), **values})  # type: ignore[dict-item]
    values = {"calendar": "XNYS", "session": days, "open_at": AT, "close_at": AT, "state": "x", "approximate": True}
    with listed.transaction() as connection, pytest.raises(ValueError, match="approximate takes BOOLEAN"):
        write_arrays(connection, sessions, values)


def test_the_stream_byte_by_byte() -> None:
    fields = [
        text_field(b"ab"),
        day_field(np.array(["2000-01-02", "1999-12-31"], "datetime64[D]")),
        float_field(np.array([1.0, np.nan])),
        instant_field(np.array(["2000-01-01T00:00:00.000002"], "datetime64[us]").repeat(2)),
        integer_field(np.array([-2, 3]), 4),
    ]
    head = "5047434f50590aff0d0a00" + "00000000" * 2
    first = "0005 00000002 6162 00000004 00000001 00000008 3ff0000000000000 00000008 0000000000000002 00000004 fffffffe"
    second = "0005 00000002 6162 00000004 ffffffff ffffffff 00000008 0000000000000002 00000004 00000003"
    assert encode_rows(2, fields).hex() == (head + first + second + "ffff").replace(" ", "")
