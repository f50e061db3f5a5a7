"""Two kills of a chain of schedulers; the full form is `benchmarks.reliability.kill_worker`."""

from pathlib import Path

import pytest

from benchmarks.reliability.kill_worker import Plan, kill_chain, misses
from benchmarks.reliability.killing.history import check_history
from service.db.session import Database
from tests.support.forecast_factory import Desk, History, open_desk, random_closes, utc


@pytest.mark.slow
def test_nothing_is_lost_duplicated_or_half_written_and_no_process_stays(tmp_path: Path) -> None:
    figures = kill_chain(Plan(False, 1, 1, ("before publish commit",)), tmp_path, None, None)
    assert misses(figures, judge_seconds=False) == []
    assert figures["kills"] >= 2
    assert figures["kills_by_point"]["before publish commit"] == 1
