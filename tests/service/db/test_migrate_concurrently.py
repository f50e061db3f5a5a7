"""Several processes that migrate a new database concurrently: they wait for each other, and all succeed."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select

from service.db.migrate import current_revision, lock_migrations, upgrade
from service.db.revision import HEAD
from service.db.session import Database
from service.db.tables import instruments, stamp
from tests.support.command import CommandLine, wait_for
from tests.support.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'fresh.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.lent() as url:
        yield url


def test_concurrent_upgrades_of_processes_all_succeed(fresh_url: str, tmp_path: Path) -> None:
    line = CommandLine(tmp_path, {"DATABASE_URL": fresh_url, "SYMBOLS": "AAPL,IBM"})
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: line.run("db", "upgrade"), range(3)))
    assert [(answer.status, answer.error) for answer in answers] == [(0, "")] * 3
    assert all(f"is at migration {HEAD}" in answer.out for answer in answers)
    database = Database(fresh_url)
    with database.reading() as connection:
        assert current_revision(connection) == HEAD
        assert connection.execute(select(func.count()).select_from(stamp)).scalar_one() == 1
        assert connection.execute(select(instruments.c.symbol).order_by("symbol")).scalars().all() == ["AAPL", "IBM"]
    database.close()


def test_concurrent_upgrades_of_threads_all_succeed(fresh_url: str) -> None:
    databases = [Database(fresh_url) for _ in range(4)]
    for database in databases:  # opened one after the other: only the migrations wait for each other
        with database.engine.connect():
            pass
    together = threading.Barrier(len(databases))

    def work(database: Database) -> None:
        together.wait(10)
        upgrade(database)

    with ThreadPoolExecutor(len(databases)) as pool:
        assert list(pool.map(work, databases)) == [None] * 4
    with databases[0].reading() as connection:
        assert current_revision(connection) == HEAD
    for database in databases:
        database.close()


def test_an_upgrade_waits_for_a_running_one(fresh_url: str) -> None:
    first, second = Database(fresh_url), Database(fresh_url)
    upgrading = threading.Thread(target=upgrade, args=(second,))
    with first.transaction() as connection:
        lock_migrations(connection)
        upgrading.start()
        if not first.is_sqlite:
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            wait_for(lambda: connection.exec_driver_sql(waiting).scalar_one() == 1)
        upgrading.join(0.3)
        assert upgrading.is_alive()
    upgrading.join(30)
    assert not upgrading.is_alive()
    with first.reading() as connection:
        assert current_revision(connection) == HEAD
    first.close()
    second.close()
