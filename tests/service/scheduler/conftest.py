"""Fixtures of the scheduler's tests: a small service on XNYS."""

from datetime import date
from pathlib import Path

import pytest

from service.db.session import Database
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import Service, ServiceOptions, make_service


@pytest.fixture
def source() -> RecordedWalks:
    """Return a source with two symbols from September 2023 to Wednesday 2024-03-06."""
    first, last = date(2023, 9, 1), date(2024, 3, 6)
    return RecordedWalks([Walk("AAA", first, last, seed=1), Walk("BBB", first, last, seed=2)])


@pytest.fixture
def service(database: Database, tmp_path: Path, source: RecordedWalks) -> Service:
    """Return a service at Friday's final instant, 2024-03-01T22:30Z, without any run."""
    return make_service(database, tmp_path, source, ServiceOptions("2024-03-01T22:30:00Z", ("AAA", "BBB")))
