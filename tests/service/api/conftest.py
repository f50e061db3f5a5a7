"""Fixtures: a migrated database with data, and a client of its application."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.app import create_app
from service.db.session import Database
from service.settings import Settings
from tests.support.api.client import TestClient
from tests.support.api.ledger_factory import fill
from tests.support.postgres import PostgresServer, name_of
from tests.support.postgres_pool import ClonePool


@pytest.fixture(scope="session")
def filled_template(postgres_server: PostgresServer, postgres_template: str) -> Iterator[str]:
    """Name of a filled database of PostgreSQL."""
    with postgres_server.lent(postgres_template) as url:
        database = Database(url)
        fill(database)
        database.close()
        yield name_of(url)


@pytest.fixture(scope="session")
def filled_pool(postgres_server: PostgresServer, filled_template: str) -> Iterator[ClonePool]:
    """Copies of the filled database of PostgreSQL."""
    with closing(ClonePool(postgres_server, filled_template, empty=False)) as pool:
        yield pool


@pytest.fixture
def filled_clone(filled_pool: ClonePool) -> Iterator[str]:
    """URL of this test's own copy."""
    with filled_pool.lent() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, filled_file: Path, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        url = f"sqlite:///{shutil.copy(filled_file, tmp_path / 'filled.db')}"
    else:
        url = request.getfixturevalue("filled_clone")
    database = Database(url)
    yield database
    database.close()


@pytest.fixture
def client(filled: Database) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(), filled)) as opened:
        yield opened
