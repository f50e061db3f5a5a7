"""Schemathesis over the routes that write, on both databases; the full form is `benchmarks.reliability.fuzz_api`."""

import sys
from pathlib import Path

from benchmarks.reliability.fuzz_api import PLANTED, Fuzz, fuzz, misses, served

PATHS = ("/v1/runs", "/v1/run-requests", "/v1/symbols/{symbol}")


def test_writes_keep_to_their_schema_and_a_planted_500_is_found(database_url: str, tmp_path: Path) -> None:
    with served(database_url, tmp_path, (sys.executable, "-c", PLANTED)) as (address, token):
        figures = fuzz(address, token, tmp_path, Fuzz(0, 1, PATHS))
        planted = fuzz(address, token, tmp_path, Fuzz(30, 1, ("/v1/planted",)))
    assert figures["failures"] == {}
    assert figures["cases"] >= 150
    assert planted["failures"]["Server error"] == 1


def test_a_breach_or_too_few_cases_is_a_miss() -> None:
    clean = {"cases": 6000, "operations": 24, "failures": {}}
    good = {"sqlite": clean, "postgresql": clean, "planted_found": True}
    assert misses(good, 10_000) == []
    assert misses({**good, "sqlite": {**clean, "failures": {"Server error": 1}}}, 10_000) == [
        "sqlite: 1 x Server error"
    ]
    assert misses({"sqlite": clean, "planted_found": False}, 10_000) == [
        "PostgreSQL was not tested", "6000 cases of 10000", "the planted 500 was not found"
    ]  # fmt: skip
