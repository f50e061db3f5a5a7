"""Two schedulers on PostgreSQL stall past their lease; 1,000 runs and SQLite are `benchmarks.reliability.stalls`."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.reliability.stalls import Trial, misses, run_trial


@pytest.mark.slow
def test_each_run_is_published_once_although_its_schedulers_stall(postgres_url: str, tmp_path: Path) -> None:
    trial = Trial(tmp_path, postgres_url, runs=6, limit=90, pause=0.5, schedulers=2)
    assert misses(run_trial(trial), trial, judge_seconds=False) == []


def figures(**other: Any) -> dict[str, Any]:
    good: dict[str, Any] = {
        "runs": {"done": 1000}, "published_once": 333, "not_published_once": 0, "score_runs_published_twice": 0,
        "forecasts_doubled": 0, "sessions_left_out": 0, "ledger_faults": [], "takeovers": 40, "machine_faults": 0,
        "ended": 1000, "exits": [0, 0, 0], "longest_stalled_transaction_s": 2.1, "fenced": 30, "deadlocks": 0,
    }  # fmt: skip
    return good | other


@pytest.mark.parametrize(
    ("other", "missed"),
    [
        ({}, []),
        ({"not_published_once": 1}, ["not_published_once: 1"]),
        ({"sessions_left_out": 2}, ["sessions_left_out: 2"]),
        ({"deadlocks": 1}, ["deadlocks: 1"]),
        ({"runs": {"done": 999, "failed": 1}}, ["1 runs failed"]),
        ({"ended": 900}, ["900 of 1000 runs ended within 60 s"]),
        ({"fenced": 0}, ["no late result was discarded: the trial shows nothing"]),
        ({"exits": [0, 1, 0]}, ["schedulers ended with [0, 1, 0]"]),
        ({"longest_stalled_transaction_s": 25.0}, ["a stalled transaction was open for 25.0 s"]),
    ],
)
def test_what_counts_as_a_miss(other: dict[str, Any], missed: list[str], tmp_path: Path) -> None:
    trial = Trial(tmp_path, "sqlite://", runs=1000, limit=60)
    assert misses(figures(**other), trial, judge_seconds=True) == missed
