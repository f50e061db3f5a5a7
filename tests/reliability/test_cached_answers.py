"""Kept answers under change in small; the full form is `benchmarks.reliability.cached_answers`."""

from pathlib import Path

from benchmarks.reliability.cached_answers import Plan, misses, run

SMALL = Plan(seconds=4.0, symbols=6, clients=3)


def test_two_workers_answer_with_the_newest_edition_and_refuse_revoked_keys(tmp_path: Path) -> None:
    assert misses(run(tmp_path, SMALL, 2)) == []


def test_a_wrong_answer_and_a_run_without_change_are_misses() -> None:
    figures: dict[str, object] = {
        "workers": 1, "answers": {200: 10, 500: 1}, "editions": 0, "revoked": 3, "wrong": ["another symbol"],
    }  # fmt: skip
    assert misses(figures) == [
        "another symbol",
        "the answers are {200: 10, 500: 1}: there must be 200 and 401 alone",
        "nothing changed during the run",
    ]
