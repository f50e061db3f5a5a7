"""Clones of a template database, reused because creating and dropping one costs a test 0.2 s of CPU."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import psycopg
import pytest

from service.db.session import Database
from tests.support.postgres import PostgresServer

LARGEST = 4_000_000
"""Largest size in bytes of a clone that is emptied; deleted rows still take space, so a larger one is dropped."""

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
_SEQUENCES = "SELECT setval(format('%I.%I', schemaname, sequencename), start_value, false) FROM pg_sequences"
_END_OTHERS = (
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_NEXT_TRANSACTION = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
_SIZE = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
# A row's xmin is the transaction that wrote it: a test that does not change the schema writes none of these rows.
_SCHEMA = """
SELECT md5(string_agg(part, ' ' ORDER BY part)) FROM (
    SELECT concat('class ', oid, ' ', xmin) AS part FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT concat('column ', attrelid, ' ', attnum, ' ', xmin) FROM pg_attribute
        WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
    UNION ALL SELECT concat('constraint ', oid, ' ', xmin) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT concat('trigger ', oid, ' ', xmin) FROM pg_trigger
    UNION ALL SELECT concat('function ', oid, ' ', xmin) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT concat('schema ', oid, ' ', xmin) FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'
    UNION ALL SELECT concat('database ', oid, ' ', xmin) FROM pg_database WHERE datname = current_database()
    UNION ALL SELECT concat('setting ', setconfig) FROM pg_db_role_setting
        WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
    UNION ALL SELECT concat('migration ', version_num, ' ', xmin) FROM alembic_version
) AS parts
"""


@dataclass(frozen=True)
class _Clone:
    """One database of the pool.

    Attributes:
        name: Its name.
        connection: A session of the pool's own, which no test uses.
        schema: Digest of its schema as the template has it.
    """

    name: str
    connection: "psycopg.Connection[tuple[object, ...]]"
    schema: object

    def ask(self, query: str) -> object:
        """Return the first value of a query's only row."""
        row = self.connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


class ClonePool:
    """Lends clones of a migrated template, each in its original state.

    A clone that a test only read is lent again as it is. One with new rows is emptied where the template holds no
    rows. One whose schema or settings were altered, and one that cannot be emptied, is dropped.

    Args:
        server: Where the template is.
        template: Its name; it must have no connections.
        empty: Whether it holds no rows but its migration.
    """

    def __init__(self, server: PostgresServer, template: str, empty: bool) -> None:
        self._server, self._template, self._empty = server, template, empty
        self._free: list[_Clone] = []

    @contextmanager
    def lent(self) -> Iterator[str]:
        """Yield the URL of a clone that is exclusive during the block."""
        clone = self._free.pop() if self._free else self._make()
        before = clone.ask(_NEXT_TRANSACTION)
        try:
            yield self._server.url(clone.name)
        finally:
            if self._restored(clone, before):
                self._free.append(clone)
            else:
                self._drop(clone)

    def close(self) -> None:
        """Drop every clone."""
        with ExitStack() as ends:
            while self._free:
                ends.callback(self._drop, self._free.pop())

    def _make(self) -> _Clone:
        name = self._server.create(self._template)
        connection = psycopg.connect(self._server.url(name), autocommit=True)
        clone = _Clone(name, connection, None)
        return _Clone(name, connection, clone.ask(_SCHEMA))

    def _drop(self, clone: _Clone) -> None:
        with closing(clone.connection):
            self._server.drop(clone.name)

    def _restored(self, clone: _Clone, before: object) -> bool:
        """Return whether the clone equals its template again; empties it if needed."""
        try:
            clone.connection.execute(_END_OTHERS)
            if clone.ask(_NEXT_TRANSACTION) == before:
                return True
            if not self._empty or int(str(clone.ask(_SIZE))) > LARGEST or clone.ask(_SCHEMA) != clone.schema:
                return False
            tables = [row[0] for row in clone.connection.execute(_TABLES)]
            with clone.connection.transaction():
                # Triggers and foreign keys are off: the ledger's tables refuse DELETE.
                clone.connection.execute("SET LOCAL session_replication_role = replica")
                clone.connection.execute("; ".join(f'DELETE FROM "{table}"' for table in tables).encode())
                clone.connection.execute(_SEQUENCES)
        except psycopg.Error:
            return False
        return True


@pytest.fixture(scope="session")
def postgres_pool(postgres_server: PostgresServer, postgres_template: str) -> Iterator[ClonePool]:
    """Empty databases at the newest migration."""
    with closing(ClonePool(postgres_server, postgres_template, empty=True)) as pool:
        yield pool


@pytest.fixture
def postgres_url(postgres_pool: ClonePool) -> Iterator[str]:
    """URL of this test's own empty database at the newest migration."""
    with postgres_pool.lent() as url:
        yield url


@pytest.fixture
def second_postgres_url(postgres_pool: ClonePool) -> Iterator[str]:
    """URL of another database, as `postgres_url`."""
    with postgres_pool.lent() as url:
        yield url


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[Database]:
    """This test's own empty database at the newest migration, open."""
    opened = Database(postgres_url)
    yield opened
    opened.close()
