"""Revisions of corporate actions: the old value is kept, and a new basis alone is no revision."""

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import select

from service.db.session import Database
from service.db.tables import corporate_action_revisions, corporate_actions
from service.prices.adjustment.corporate_actions import Action, ActionKind
from service.prices.repository import read_actions
from service.prices.store import Writer
from tests.support.fakes import World

AT, LATER = datetime(2018, 6, 1, 22, tzinfo=UTC), datetime(2018, 6, 4, 22, tzinfo=UTC)
MAY, JUNE = date(2018, 5, 8), date(2018, 6, 1)


def dividend(day: date, value: float) -> Action:
    return Action(day, ActionKind.DIVIDEND, value)


@pytest.fixture
def known(world: World) -> Database:
    """Return a database with AAA and a dividend of 1.00 in May."""
    world.instruments("AAA")
    put(world.database, [], [dividend(MAY, 1.0)])
    return world.database


def put(database: Database, known: list[Action], answered: list[Action]) -> int:
    with database.transaction() as connection:
        return Writer(connection, "AAA", "fake", AT).put_actions(known, answered, 1)


def stored(database: Database) -> list[tuple[date, str, float, int]]:
    table = corporate_actions.c
    query = select(table.ex_date, table.kind, table.value, table.revision).order_by(table.ex_date)
    with database.reading() as connection:
        return [tuple(row) for row in connection.execute(query)]


def replaced(database: Database) -> list[tuple[date, float, int, int]]:
    table = corporate_action_revisions.c
    query = select(table.ex_date, table.value, table.revision, table.basis).order_by(table.id)
    with database.reading() as connection:
        return [tuple(row) for row in connection.execute(query)]


def test_a_new_action_is_its_first_revision(known: Database) -> None:
    assert put(known, [dividend(MAY, 1.0)], [dividend(MAY, 1.0), dividend(JUNE, 2.0)]) == 1
    assert stored(known) == [(MAY, "dividend", 1.0, 1), (JUNE, "dividend", 2.0, 1)]
    assert replaced(known) == []


def test_each_changed_value_is_a_revision_that_keeps_the_old_one(known: Database) -> None:
    assert put(known, [dividend(MAY, 1.0)], [dividend(MAY, 1.5)]) == 1
    assert put(known, [dividend(MAY, 1.5)], [dividend(MAY, 1.25)]) == 1
    assert stored(known) == [(MAY, "dividend", 1.25, 3)]
    assert replaced(known) == [(MAY, 1.0, 1, 1), (MAY, 1.5, 2, 1)]


def test_the_same_value_again_writes_nothing(known: Database) -> None:
    assert put(known, [dividend(MAY, 1.0)], [dividend(MAY, 1.0 + 1e-9)]) == 0
    assert stored(known) == [(MAY, "dividend", 1.0, 1)]


def test_a_split_moves_a_dividend_to_the_new_basis_without_a_revision(known: Database) -> None:
    split = Action(JUNE, ActionKind.SPLIT, 4.0)
    with known.transaction() as connection:
        before = read_actions(connection, "AAA")
        assert Writer(connection, "AAA", "fake", LATER).replace_actions(before, [dividend(MAY, 0.25), split], 1) == 2
    assert stored(known) == [(MAY, "dividend", 0.25, 1), (JUNE, "split", 4.0, 1)]
    assert replaced(known) == []


def test_replaced_and_missing_actions_are_kept_as_revisions(known: Database) -> None:
    put(known, [dividend(MAY, 1.0)], [dividend(JUNE, 2.0)])
    with known.transaction() as connection:
        before = read_actions(connection, "AAA")
        assert Writer(connection, "AAA", "fake", AT).replace_actions(before, [dividend(JUNE, 3.0)], 1) == 1
    assert stored(known) == [(JUNE, "dividend", 3.0, 2)]
    assert sorted(replaced(known)) == [(MAY, 1.0, 1, 1), (JUNE, 2.0, 1, 1)]


def test_an_action_that_returns_continues_its_revisions(known: Database) -> None:
    with known.transaction() as connection:
        writer = Writer(connection, "AAA", "fake", AT)
        writer.replace_actions(read_actions(connection, "AAA"), [dividend(JUNE, 2.0)], 1)
        writer.put_actions(read_actions(connection, "AAA"), [dividend(MAY, 1.0)], 2)
    assert stored(known) == [(MAY, "dividend", 1.0, 2), (JUNE, "dividend", 2.0, 1)]


def test_the_only_action_that_comes_back_goes_on_counting(known: Database) -> None:
    with known.transaction() as connection:
        writer = Writer(connection, "AAA", "fake", AT)
        writer.replace_actions(read_actions(connection, "AAA"), [], 1)
        writer.put_actions((), [dividend(MAY, 1.0)], 2)
    assert stored(known) == [(MAY, "dividend", 1.0, 2)]
