"""Sessions missed around a clock change, a holiday and a half day.

Half a year of three exchanges is `benchmarks.reliability.missed_sessions`.
"""

from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from benchmarks.reliability.missed_sessions import QUICK, assess, misses, prepare, replay
from service.db.session import Database
from service.db.tables import run_outcomes, runs


def test_every_session_is_accounted_for_and_none_is_back_dated(database: Database, tmp_path: Path) -> None:
    service = prepare(database, tmp_path, QUICK)
    replay(service, QUICK)
    figures = assess(service, QUICK)
    assert misses(figures) == []
    # Issued: 2, 3, 6 and 7 November, 22 and 24 November, 12 and 13 December. 18 sessions passed while it was off.
    assert (figures["sessions"], figures["forecast"], figures["missed"]) == (28, 8, 20)
    with database.transaction() as connection:
        planted = connection.execute(
            update(runs).where(runs.c.session == date(2023, 11, 24), runs.c.job == "forecast").values(scope="XLON")
        )
        assert planted.rowcount == 1
        connection.execute(delete(run_outcomes).where(run_outcomes.c.state == "missed"))
    wrong = assess(service, QUICK)["wrong"]
    assert "XNYS 2023-11-24: None, None" in wrong
    assert len(wrong) == 21


@pytest.mark.parametrize("name", ["forecast", "missed", "half_days", "weekday_holidays", "clock_changes"])
def test_a_trial_that_meets_no_such_day_is_a_miss(name: str) -> None:
    figures = {
        "wrong": [], "ledger_faults": [], "doubled_runs": 0, "editions_in_order": True, "forecast": 8, "missed": 20,
        "half_days": 1, "weekday_holidays": 1, "clock_changes": 1,
    }  # fmt: skip
    assert misses(figures) == []
    assert misses({**figures, name: 0}) == [f"{name} is 0: the trial shows nothing"]


def test_later_editions_are_not_issued_earlier() -> None:
    figures = {
        "wrong": [], "ledger_faults": [], "doubled_runs": 2, "editions_in_order": False, "forecast": 8, "missed": 20,
        "half_days": 1, "weekday_holidays": 1, "clock_changes": 1,
    }  # fmt: skip
    assert misses(figures) == [
        "2 forecast runs too many", "an edition was issued earlier than the one before it",
    ]  # fmt: skip
