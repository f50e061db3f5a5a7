"""Current work ends with the process, or is left to the next scheduler if it takes too long."""

import signal
import subprocess
import sys
import time

import pytest

from tests.support.paths import ROOT

PROCESS = """
import sys, threading, time
from service.cli.serve.up import _run_until_signal

class Work:
    def __init__(self):
        self.stopped = threading.Event()
    def stop(self):
        self.stopped.set()
    def run(self):
        sys.stdout.write("working\\n")
        sys.stdout.flush()
        self.stopped.wait()
        time.sleep({takes})

_run_until_signal(Work(), {limit})
sys.stdout.write("ended\\n")
"""


def stopped_process(takes: float, limit: float | None) -> "subprocess.CompletedProcess[str]":
    """Start a process whose work continues for some seconds after SIGTERM."""
    code = PROCESS.format(takes=takes, limit=limit)
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess([], process.returncode, out, err)


@pytest.mark.parametrize("limit", [20.0, None])
def test_work_that_ends_in_time_is_finished(limit: float | None) -> None:
    done = stopped_process(0.2, limit)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")


def test_work_that_takes_too_long_is_left_to_the_next_scheduler() -> None:
    began = time.monotonic()
    done = stopped_process(50.0, 1.0)
    assert time.monotonic() - began < 40
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "current work did not end within 1 s; it is left to the next scheduler\n"
