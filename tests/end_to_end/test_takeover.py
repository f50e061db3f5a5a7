"""A scheduler killed during its work: another takes over, nothing is lost or doubled."""

import signal
from pathlib import Path

import psutil
import pytest

from service.db.session import Database
from tests.support.command import CommandLine, kill_group, wait_for
from tests.support.ledger_checks import assert_nothing_is_lost_or_doubled, issued

NAME = "tplus-sample-replay.db"


@pytest.mark.slow
def test_kill_9_and_takeover(tmp_path: Path) -> None:
    line = CommandLine(
        tmp_path,
        {"SYMBOLS": "FB", "CLOCK": "replay:2012-12-03T22:30:00Z:0", "LEASE_SECONDS": "2", "POLL_SECONDS": "0.1"},
    )
    assert line.run("db", "upgrade").status == 0
    database = Database(f"sqlite:///{tmp_path / NAME}")
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    first = line.start("schedule", log=logs[0])
    second = None
    try:
        wait_for(lambda: issued(database) >= 3)
        second = line.start("schedule", log=logs[1])
        wait_for(lambda: "on standby" in logs[1].read_text())
        assert f":{first.pid})" in logs[1].read_text()  # it names the active scheduler
        children = psutil.Process(first.pid).children(recursive=True)
        before = issued(database)
        first.send_signal(signal.SIGKILL)
        first.wait(10)
        wait_for(lambda: issued(database) >= before + 5)
        wait_for(lambda: not any(child.is_running() and child.status() != "zombie" for child in children), 10)
        second.send_signal(signal.SIGTERM)
        assert second.wait(20) == 0
    finally:
        for process in (first, second):
            if process is not None:
                kill_group(process)
    assert len(assert_nothing_is_lost_or_doubled(database)) >= 8
    database.close()
