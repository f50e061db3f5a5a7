"""The pool's clones are reused only if nothing of the last test is left."""

from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest

from tests.support.postgres import PostgresServer, name_of
from tests.support.postgres_pool import ClonePool

ADD = "INSERT INTO audit (at, actor, action, subject, detail) VALUES (now(), 'me', 'add', 'AAA', '{}')"


@pytest.fixture
def pool(postgres_server: PostgresServer, postgres_template: str) -> Iterator[ClonePool]:
    with closing(ClonePool(postgres_server, postgres_template, empty=True)) as made:
        yield made


def say(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def ask(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    return None if row is None else row[0]


def test_a_returned_clone_has_no_rows_and_new_sequences(pool: ClonePool) -> None:
    for _ in range(2):
        with pool.lent() as url:
            assert ask(url, "SELECT count(*) FROM audit") == 0
            say(url, ADD)
            assert ask(url, "SELECT id FROM audit") == 1
    with pool.lent() as again:
        assert name_of(again) == name_of(url)


def test_two_borrowers_have_one_clone_each_and_open_sessions_are_ended(pool: ClonePool) -> None:
    with pool.lent() as first, pool.lent() as second:
        assert name_of(first) != name_of(second)
        open_session = psycopg.connect(first)
        open_session.execute(ADD.encode())
    with pool.lent() as url:
        assert ask(url, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()") == 2
    with pytest.raises(psycopg.OperationalError):
        open_session.execute("SELECT 1")
    open_session.close()


@pytest.mark.parametrize(
    "altering",
    [
        lambda name: "CREATE TABLE mine (n int)",
        lambda name: "ALTER TABLE scores ALTER COLUMN reason SET DEFAULT 'x'",
        lambda name: "DROP TRIGGER scores_append_only ON scores",
        lambda name: "ALTER TABLE scores DISABLE TRIGGER ALL",
        lambda name: f"ALTER DATABASE {name} SET default_transaction_read_only = on",
        lambda name: "UPDATE alembic_version SET version_num = '9001'",
        lambda name: "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ],
)
def test_an_altered_clone_is_not_lent_again(pool: ClonePool, altering: Callable[[str], str]) -> None:
    with pool.lent() as url:
        say(url, altering(name_of(url)))
    with pool.lent() as other:
        assert name_of(other) != name_of(url)


def test_a_filled_clone_is_lent_again_only_after_reads(postgres_server: PostgresServer, postgres_template: str) -> None:
    with postgres_server.lent(postgres_template) as template:
        say(template, ADD)
        with closing(ClonePool(postgres_server, name_of(template), empty=False)) as pool:
            names = []
            for statement in ("SELECT 1", "SELECT count(*) FROM audit", ADD, "SELECT 1"):
                with pool.lent() as url:
                    assert ask(url, "SELECT count(*) FROM audit") == 1
                    say(url, statement)
                    names.append(name_of(url))
    assert names[0] == names[1] == names[2] != names[3]
