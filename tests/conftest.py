"""Fixtures every test may use."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

# Tests train small networks for a few epochs: compiling takes most of the time. Read where TensorFlow is imported.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import curl_cffi  # noqa: F401  # before TensorFlow, which exports a curl of its own and would break this one
import pytest

from service.db.session import Database
from service.settings import Settings
from tests.support.command_server import close_command_server
from tests.support.fakes import FakeSource, World
from tests.support.lock_order import LockOrder, checked_lock_order
from tests.support.postgres import postgres_server, postgres_template
from tests.support.postgres_pool import postgres_database, postgres_pool, postgres_url, second_postgres_url
from tests.support.sqlite_template import make_template

__all__ = [
    "postgres_database",
    "postgres_pool",
    "postgres_server",
    "postgres_template",
    "postgres_url",
    "second_postgres_url",
]


def pytest_sessionfinish() -> None:
    """End what the commands of the tests were forked from."""
    close_command_server()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file at the newest migration, to be copied: migrating takes longer than most tests."""
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database at the newest migration, this test's own: each test runs on SQLite and on PostgreSQL.

    `@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)` keeps a test on one of them. Property tests
    and replays of many weeks make SQLite files by themselves: hundreds of databases, or minutes of work, in each.
    """
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    path = tmp_path / "test.db"
    shutil.copyfile(request.getfixturevalue("migrated_file"), path)
    return f"sqlite:///{path}"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty database at the newest migration, this test's own, opened."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def lock_order() -> Iterator[LockOrder]:
    """Checks the lock order of the test's transactions on PostgreSQL."""
    with checked_lock_order() as order:
        yield order
    assert order.faults == []


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    """A fake source pulled into the test's database."""
    return World(database, FakeSource(), Settings(data_dir=tmp_path))
