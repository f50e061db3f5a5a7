"""Databases that no migration has touched."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from service.db.session import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database that no migration has touched."""
    with ExitStack() as ends:
        url = f"sqlite:///{tmp_path / 'empty.db'}"
        if request.param == "postgresql":
            url = ends.enter_context(request.getfixturevalue("postgres_server").lent())
        opened = Database(url)
        ends.callback(opened.close)
        yield opened
