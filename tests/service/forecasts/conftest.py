"""Fixture `desk` of this folder's tests."""

from pathlib import Path

import pytest

from service.db.session import Database
from tests.support.forecast_factory import Desk, open_desk


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    """Return an empty database with a service context."""
    return open_desk(database, tmp_path)
