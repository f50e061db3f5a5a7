"""A backup of a writing service, restored; the full form is `benchmarks.reliability.backup`."""

from pathlib import Path

import pytest

from benchmarks.reliability.backup import QUICK, misses, on_postgres, on_sqlite
from tests.support.postgres import PostgresServer


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_backups_of_a_writing_service_are_restored_with_equal_hashes(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    if kind == "sqlite":
        figures = on_sqlite(tmp_path, QUICK)
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        figures = on_postgres(tmp_path, server.url("postgres"), QUICK)
    assert misses(figures) == []
    assert figures["rows"] > 100


def test_a_fault_or_an_idle_service_is_a_miss() -> None:
    figures = {"faults": ["edition 1 was altered"], "backups": 3, "editions_published_meanwhile": 2}
    assert misses(figures) == [
        "edition 1 was altered",
        "the service published fewer editions than backups were made: the trial shows nothing",
    ]
