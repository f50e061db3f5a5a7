"""SIGTERM under load, and killed workers, in small; the full form is `benchmarks.reliability.stop_under_load`."""

import shutil
from pathlib import Path

from benchmarks.reliability.stop_under_load import Plan, misses, trial

SMALL = Plan(rounds=1, clients=6, load_seconds=0.5, paths=("/healthz", "/readyz", "/openapi.json"))


def test_no_accepted_request_is_dropped_and_no_worker_is_left(tmp_path: Path, migrated_file: Path) -> None:
    database = tmp_path / "own.db"
    shutil.copyfile(migrated_file, database)
    figures = trial(tmp_path, SMALL, (2,), database)
    assert misses(figures) == []


def test_a_dropped_request_a_slow_end_and_a_worker_left_behind_are_misses() -> None:
    stops = {"1_workers": {"answered": 9, "bad": 1, "dropped": ["/healthz"], "longest_end_seconds": 21.0}}
    kills = {"replaced_seconds": None, "ended_after_parent_seconds": None}
    assert misses({"stops": stops, "kills": kills}) == [
        "1_workers: 1 requests dropped, 1 bad answers",
        "1_workers: the end took 21.0 s",
        "a killed worker was not replaced",
        "a worker outlived its parent",
    ]
