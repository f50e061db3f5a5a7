"""`tplus up`: the whole service, Ctrl-C during a training, and a restart."""

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import pytest

from tests.support.command import CommandLine, kill_group, wait_for
from tests.support.postgres import free_port

CTRL_C_SECONDS = 12.0


def query(folder: Path, sql: str) -> list[Any]:
    """Return the rows of a statement; none before the tables exist."""
    database = sqlite3.connect(folder / "tplus-sample-replay.db", timeout=10)
    try:
        return database.execute(sql).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        database.close()


def is_ready(port: int) -> bool:
    """Return whether the API reports that it is ready."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def training_runs(folder: Path) -> bool:
    return query(folder, "SELECT state FROM runs WHERE job = 'train'") == [("running",)]


def press_ctrl_c(process: "subprocess.Popen[bytes]", started: int) -> None:
    """Signal the whole foreground group, as a terminal does; no process of it may remain."""
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= started
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 0
    assert time.monotonic() - began < CTRL_C_SECONDS
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []


@pytest.mark.slow
def test_ctrl_c_during_a_training_and_a_restart(tmp_path: Path) -> None:
    port = free_port()
    settings = {"SYMBOLS": "AAPL", "CLOCK": "replay:2012-12-03T22:30:00Z:1", "PORT": str(port), "POLL_SECONDS": "0.1"}
    line = CommandLine(tmp_path, settings)
    log = tmp_path / "up.log"
    process = line.start("up", log=log)
    try:
        wait_for(lambda: is_ready(port) and training_runs(tmp_path))
        busy = line.having(DATA_DIR=str(tmp_path / "other")).run("up")
        assert (busy.status, busy.sentence) == (
            1,
            f"port {port} on 127.0.0.1 is in use; stop the other program or set TPLUS_PORT",
        )
        assert not (tmp_path / "other").exists()
        press_ctrl_c(process, started=3)  # the API, the forecasting worker, the training
        given_back = query(tmp_path, "SELECT state, lease_until FROM runs WHERE job = 'train'")
        assert given_back == [("due", None)]
        assert query(tmp_path, "SELECT count(*) FROM schedulers WHERE lease_until IS NOT NULL") == [(0,)]
        editions = query(tmp_path, "SELECT number, hash FROM editions")
        assert len(editions) == 1
        process = line.start("up", log=log)
        wait_for(lambda: is_ready(port) and training_runs(tmp_path))
        assert query(tmp_path, "SELECT number, hash FROM editions") == editions
        press_ctrl_c(process, started=2)  # no forecast before the training: the worker need not exist
    finally:
        kill_group(process)
    assert "Traceback" not in log.read_text()
    assert log.read_text().count("stopped; run again to resume") == 2


@pytest.mark.slow
def test_after_kill_9_the_api_ends_too_and_a_moved_folder_restarts(tmp_path: Path) -> None:
    port = free_port()
    settings = {"SYMBOLS": "AAPL", "CLOCK": "replay:2012-12-03T22:30:00Z:600", "PORT": str(port), "LEASE_SECONDS": "2"}
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    process = CommandLine(first, settings).start("up", log=tmp_path / "up.log")
    try:
        wait_for(lambda: is_ready(port) and query(first, "SELECT number FROM editions") == [(1,)])
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait(10)
        _, alive = psutil.wait_procs(family, timeout=10)
        assert alive == []
    finally:
        kill_group(process)
    shutil.copytree(first, second)
    process = CommandLine(second, settings).start("up", log=tmp_path / "again.log")
    try:
        wait_for(lambda: is_ready(port))
    finally:
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 0
    assert "cannot be read" not in (tmp_path / "again.log").read_text()
    assert query(second, "SELECT count(*) FROM editions") == [(1,)]
