"""Six replayed sessions of the whole service under mixed load; the full year is `benchmarks.reliability.soak`."""

from pathlib import Path

from benchmarks.reliability.soak import Sample, growth, misses, soak


def test_a_service_under_load_accounts_for_each_session_and_never_answers_5xx(tmp_path: Path) -> None:
    figures = soak(tmp_path, 6)
    assert misses(figures, judge_memory=False) == []
    assert figures["answers"] >= 20


def test_growth_compares_the_last_third_with_the_middle_third() -> None:
    samples = [Sample(90, 5), Sample(90, 5), Sample(100, 10), Sample(100, 10), Sample(104, 13), Sample(104, 13)]
    assert growth(samples) == (1.04, 3)


def test_a_year_that_grows_or_lacks_a_session_is_a_miss() -> None:
    figures = {
        "sessions": 252, "sessions_forecast": 251, "answers_5xx": 0, "no_answer": 0, "streams_lost": 0, "bad": {},
        "ledger_faults": [], "api_memory_ratio": 1.04, "api_files_grown": 0.0, "scheduler_memory_ratio": 1.03,
        "scheduler_files_grown": 3.0,
    }  # fmt: skip
    assert misses(figures, judge_memory=True) == [
        "1 sessions are not forecast",
        "memory of the api grew by the factor 1.04",
        "open files of the scheduler changed by 3.0",
    ]
