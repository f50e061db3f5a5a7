"""Fixture `desk` of this folder's tests."""

from datetime import date
from pathlib import Path

import pytest

from models.config import Strategy
from service.db.session import Database
from tests.support.forecast_factory import Desk, History, open_desk


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    """Return a replay desk with the symbols AAA and BBB at 100 until 2018-06-01, and the random walk as version 1."""
    opened = open_desk(database, tmp_path)
    for symbol in ("AAA", "BBB"):
        opened.add(History(symbol, date(2018, 6, 1), [100.0] * 60))
    assert opened.add_walk(Strategy.ONE_STEP) == 1
    return opened
