"""Fixtures every test may use."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import curl_cffi  # noqa: F401  # before TensorFlow, which exports a curl of its own and would break this one
import pytest

from service.db.migrate import upgrade
from service.db.session import Database
from service.settings import Settings
from tests.fakes import FakeSource, World


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file at the newest migration, to be copied: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    template = Database(f"sqlite:///{path}")
    upgrade(template)
    with template.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    template.close()
    return path


@pytest.fixture
def database(migrated_file: Path, tmp_path: Path) -> Iterator[Database]:
    """An empty SQLite database at the newest migration, this test's own."""
    path = tmp_path / "test.db"
    shutil.copyfile(migrated_file, path)
    opened = Database(f"sqlite:///{path}")
    yield opened
    opened.close()


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    """A fake source pulled into the test's database."""
    return World(database, FakeSource(), Settings(data_dir=tmp_path))
