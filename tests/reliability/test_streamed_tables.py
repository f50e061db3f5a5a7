"""Streamed tables in small; the full form is `benchmarks.reliability.streamed_tables`."""

from pathlib import Path

from benchmarks.reliability.streamed_tables import Plan, misses, run

SMALL = Plan(rows=60_000, leaving=16, routes=("/v1/prices/S000",))


def test_memory_stays_flat_and_clients_that_leave_free_what_they_used(tmp_path: Path) -> None:
    assert misses(run(tmp_path, SMALL)) == []


def test_lost_rows_memory_and_a_busy_service_are_misses() -> None:
    table = {"rows": 9, "seconds": 1.0, "growth_megabytes": 300.0}
    assert misses({"rows": 10, "/v1/prices/S000 csv": table, "seconds_after_leaving": 20.0}) == [
        "/v1/prices/S000 csv: 9 rows were read, and not 10",
        "/v1/prices/S000 csv: memory grew by 300.0 MB",
        "after clients had left, a table took 20.0 s",
    ]
