"""The desk of this folder's tests."""

from pathlib import Path

import pytest

from service.db.session import Database
from tests.support.forecast_factory import Desk, open_desk


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    """An empty database with a context over it."""
    return open_desk(database, tmp_path)
