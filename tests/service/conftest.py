"""A filled, migrated database file that the tests of the API and of the application copy."""

from pathlib import Path

import pytest

from service.db.migrate import upgrade
from service.db.session import Database
from tests.support.api.ledger_factory import fill


@pytest.fixture(scope="session")
def filled_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrated and filled once; each test gets a copy."""
    path = tmp_path_factory.mktemp("api") / "filled.db"
    database = Database(f"sqlite:///{path}")
    upgrade(database)
    fill(database)
    database.close()
    return path
