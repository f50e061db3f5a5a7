"""The change counters."""

from sqlalchemy import select

from service.db.change_counters import raise_changes
from service.db.session import Database
from service.db.tables import change_counters


def counters(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        return {
            row[0]: row[1] for row in connection.execute(select(change_counters.c.scope, change_counters.c.counter))
        }


def test_each_change_raises_the_global_counter_and_each_symbols_once(database: Database) -> None:
    with database.transaction() as connection:
        raise_changes(connection, ["AAA", "BBB", "AAA"])
    with database.transaction() as connection:
        raise_changes(connection, ["BBB"])
        raise_changes(connection, ())
    assert counters(database) == {"": 3, "AAA": 1, "BBB": 2}


def test_a_rolled_back_change_raises_nothing(database: Database) -> None:
    with database.engine.connect() as connection:
        raise_changes(connection, ["AAA"])
        connection.rollback()
    assert counters(database) == {}
