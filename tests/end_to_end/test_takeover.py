"""A scheduler killed in the middle of its work: another takes over, nothing is lost and nothing doubled."""

import signal
import sqlite3
from pathlib import Path

import psutil
import pytest
from sqlalchemy import func, select

from service.db.session import Database
from service.db.tables import editions, forecasts, runs, scores
from service.forecasts.ledger import verify
from tests.command import CommandLine, kill_group, wait_for

NAME = "tplus-sample-replay.db"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_kill_9_and_takeover(tmp_path: Path) -> None:
    line = CommandLine(
        tmp_path,
        {"SYMBOLS": "FB", "CLOCK": "replay:2012-12-03T22:30:00Z:0", "LEASE_SECONDS": "2", "POLL_SECONDS": "0.1"},
    )
    assert line.run("db", "upgrade").status == 0
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    first = line.start("schedule", log=logs[0])
    second = None
    try:
        wait_for(lambda: issued(tmp_path) >= 3)
        second = line.start("schedule", log=logs[1])
        wait_for(lambda: "standing by" in logs[1].read_text())
        assert f":{first.pid})" in logs[1].read_text()  # it says who is active
        children = psutil.Process(first.pid).children(recursive=True)
        before = issued(tmp_path)
        first.send_signal(signal.SIGKILL)
        first.wait(10)
        wait_for(lambda: issued(tmp_path) >= before + 5)
        wait_for(lambda: not any(child.is_running() and child.status() != "zombie" for child in children), 10)
        second.send_signal(signal.SIGTERM)
        assert second.wait(20) == 0
    finally:
        for process in (first, second):
            if process is not None:
                kill_group(process)
    _nothing_is_lost_or_doubled(tmp_path)


def issued(folder: Path) -> int:
    """Editions published so far."""
    database = sqlite3.connect(folder / NAME, timeout=10)
    try:
        return int(database.execute("SELECT count(*) FROM editions").fetchone()[0])
    finally:
        database.close()


def _nothing_is_lost_or_doubled(folder: Path) -> None:
    database = Database(f"sqlite:///{folder / NAME}")
    with database.reading() as connection:
        assert verify(connection) == []
        forecast_runs = connection.execute(
            select(runs.c.session, runs.c.state).where(runs.c.job == "forecast").order_by(runs.c.session)
        ).all()
        as_ofs = list(connection.execute(select(editions.c.as_of).order_by(editions.c.number)).scalars())
        keys = (forecasts.c.symbol, forecasts.c.as_of, forecasts.c.strategy, forecasts.c.step)
        doubled = connection.execute(select(*keys).group_by(*keys).having(func.count() > 1)).all()
        last_scored = connection.execute(
            select(func.max(runs.c.session)).where(runs.c.job == "score", runs.c.state == "done")
        ).scalar_one()
        per_forecast = connection.execute(
            select(func.count(scores.c.id))
            .select_from(forecasts.outerjoin(scores, scores.c.forecast_id == forecasts.c.id))
            .where(forecasts.c.target_session <= last_scored)
            .group_by(forecasts.c.id)
        ).scalars()
        assert set(per_forecast) == {1}
    database.close()
    done = [row.session for row in forecast_runs if row.state == "done"]
    assert len(done) == len(set(done)) >= 8
    assert as_ofs == done
    assert doubled == []
