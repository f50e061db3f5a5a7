"""Oversize requests and slow clients in small; the full form is `benchmarks.reliability.hostile_clients`."""

import shutil
from pathlib import Path

from benchmarks.reliability.api_process import last_status
from benchmarks.reliability.hostile_clients import Size, misses, trial

SMALL = Size(megabytes=3, clients=5, request_seconds=0.5, page="/openapi.json")


def test_oversize_requests_and_slow_clients_are_refused_and_cost_no_memory(tmp_path: Path, migrated_file: Path) -> None:
    database = tmp_path / "own.db"
    shutil.copyfile(migrated_file, database)
    figures = trial(tmp_path, SMALL, database)
    assert misses(figures) == []
    assert len(figures["oversize"]) == 15
    assert len(figures["slow"]) == 5


def test_a_case_without_its_status_memory_and_files_left_open_are_misses() -> None:
    figures = {
        "oversize": {"one header": {"is_right": False}}, "slow": {}, "clients_that_do_not_read": {"is_right": True},
        "memory_before_mb": 94.0, "memory_peak_mb": 431.0, "files_left_open": 200, "still_answers": True,
    }  # fmt: skip
    assert misses(figures) == ["one header: {'is_right': False}", "memory grew by 337 MB", "200 files stay open"]


def test_the_last_of_several_statuses_is_found() -> None:
    assert last_status(b"HTTP/1.1 200 OK\r\n\r\nokHTTP/1.1 408 Request Timeout\r\n\r\n") == 408
    assert last_status(b"") is None
