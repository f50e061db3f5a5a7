"""Three seconds of scrapes under load on both databases; the full trial is `benchmarks.reliability.metrics`."""

from pathlib import Path

from benchmarks.reliability.metrics import misses, trial


def test_scrapes_under_load_equal_the_database_and_the_clients(database_url: str, tmp_path: Path) -> None:
    figures = trial(database_url, tmp_path, symbols=40, sessions_back=3, seconds=1.0)
    assert misses(figures, judge_seconds=False) == []
    assert figures["runs"] > 48  # those before the load, and some of the load


def test_a_difference_a_slow_scrape_and_growth_are_misses() -> None:
    figures = {
        "differences": ["tplus_runs is 1, counted 2"], "faults": [], "answers": 100, "scrapes": 10,
        "series_per_symbol": 1, "scrape_p95_seconds": 0.6, "memory_ratio": 1.04,
    }  # fmt: skip
    assert misses(figures, judge_seconds=True) == [
        "tplus_runs is 1, counted 2",
        "1 series name a symbol",
        "95 % of the scrapes take up to 0.6 s",
        "memory grew by the factor 1.04",
    ]
