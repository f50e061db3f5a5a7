"""Rate limits over several workers in small; the full form is `benchmarks.reliability.rate_limits`."""

import shutil
from pathlib import Path

import pytest

from benchmarks.reliability.rate_limits import Plan, measure, misses, most_in_a_window, redis_server

SMALL = Plan(limit=60, window=2, windows=1, clients=6)


def own_database(folder: Path, migrated_file: Path) -> None:
    shutil.copyfile(migrated_file, folder / "empty.db")


def test_four_workers_count_together_in_memory(tmp_path: Path, migrated_file: Path) -> None:
    own_database(tmp_path, migrated_file)
    assert misses(measure(tmp_path, SMALL, 4, "memory")) == []


def test_redis_counts_for_a_worker(tmp_path: Path, migrated_file: Path) -> None:
    own_database(tmp_path, migrated_file)
    with redis_server() as address:
        if address is None:
            pytest.skip("redis-server is not installed; the trial with memory holds the rule")
        assert misses(measure(tmp_path, SMALL, 1, address)) == []


def test_requests_count_for_a_window_if_they_were_sent_and_answered_in_it() -> None:
    allowed = [(0.0, 0.1), (0.5, 0.6), (0.95, 1.05), (1.2, 1.3)]
    assert most_in_a_window(allowed, 1.0) == 3
    assert most_in_a_window([], 1.0) == 0


def test_too_many_and_too_few_are_misses() -> None:
    figures = {
        "workers": 4, "storage": "memory", "limit": 100, "expected": 300, "allowed": 284, "most_in_a_window": 106,
        "refused": 5, "refused_without_retry_after": 1, "other_answers": 2,
    }  # fmt: skip
    assert misses(figures) == [
        "4 workers, memory: 106 in a window of 100",
        "4 workers, memory: 284 of 300 allowed",
        "4 workers, memory: 1 of 5 without Retry-After",
        "4 workers, memory: 2 other answers",
    ]
