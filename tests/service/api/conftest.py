"""A filled, migrated database and a client on the application over it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.app import create_app
from service.db.migrate import upgrade
from service.db.session import Database
from service.settings import Settings
from tests.service.api.client import TestClient
from tests.service.api.ledger_factory import fill


@pytest.fixture(scope="session")
def filled_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrated and filled once; each test gets a copy."""
    path = tmp_path_factory.mktemp("api") / "filled.db"
    database = Database(f"sqlite:///{path}")
    upgrade(database)
    fill(database)
    database.close()
    return path


@pytest.fixture
def filled(filled_file: Path, tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{shutil.copy(filled_file, tmp_path / 'filled.db')}")
    yield database
    database.close()


@pytest.fixture
def client(filled: Database) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(), filled)) as opened:
        yield opened
