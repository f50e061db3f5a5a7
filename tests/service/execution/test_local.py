"""Tasks in real processes: results, failures, limits, deaths, and cleanup."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from models.phases import PhaseRecorder
from service.execution.executor import TaskFailed, WorkerDied, WorkerTimeout
from service.execution.local import HAND_OVER, KeptChild, WarmWorker
from tests.support import execution_tasks as tasks
from tests.support.command import wait_for


@pytest.fixture(scope="module")
def warm() -> Iterator[WarmWorker]:
    """Yield one worker for the tests that leave it alive."""
    worker = WarmWorker()
    yield worker
    worker.close()


def test_a_task_runs_in_another_process_that_stays(warm: WarmWorker) -> None:
    first = warm.run(tasks.whereabouts, None)
    assert first != os.getpid()
    assert warm.run(tasks.whereabouts, None) == first == warm.pid


def test_progress_is_reported_in_order_before_the_result(warm: WarmWorker) -> None:
    reported: list[Any] = []
    assert warm.run(tasks.count_to, 3, reported.append) == 3
    assert reported == [1, 2, 3]
    assert warm.run(tasks.count_to, 2) == 2  # without a receiver


def test_the_phases_of_a_task_are_those_of_the_caller(warm: WarmWorker) -> None:
    with PhaseRecorder() as recorder:
        assert warm.run(tasks.measured, 200_000) == 19_999_900_000
    counted, waiting = recorder.phases()
    assert (counted.name, counted.rows, waiting.name) == ("count", 200_000, HAND_OVER)
    assert counted.seconds > 0
    assert counted.cpu_seconds > 0
    assert warm.run(tasks.measured, 2) == 1  # without a recorder


def test_a_failed_task_is_raised_with_its_kind_and_the_worker_survives(warm: WarmWorker) -> None:
    before = warm.run(tasks.whereabouts, None)
    with pytest.raises(TaskFailed, match="six is not a number") as caught:
        warm.run(tasks.fail, "six is not a number")
    assert caught.value.kind == "ValueError"
    assert warm.run(tasks.whereabouts, None) == before


def test_a_killed_worker_is_an_error_and_is_replaced() -> None:
    worker = WarmWorker()
    try:
        before = worker.run(tasks.whereabouts, None)
        with pytest.raises(WorkerDied, match=r"forecasting worker process ended during a task \(exit code -9\)"):
            worker.run(tasks.die, None)
        assert worker.run(tasks.whereabouts, None) != before
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)  # between two tasks: the next one is not affected
        assert worker.run(tasks.count_to, 1) == 1
    finally:
        worker.close()


def test_a_task_over_its_limit_is_stopped_with_its_process() -> None:
    worker = WarmWorker(limit_seconds=0.4)
    with pytest.raises(WorkerTimeout, match="its limit of 0 s"):
        worker.run(tasks.sleep, 30.0)
    assert worker.pid is None
    worker.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_process_group_does_not_end_a_worker(warm: WarmWorker, number: int) -> None:
    pid = warm.run(tasks.whereabouts, None)
    os.kill(pid, number)
    assert warm.run(tasks.whereabouts, None) == pid


@pytest.mark.parametrize("end_at_once", [False, True])
def test_closing_ends_the_process(end_at_once: bool) -> None:
    worker = WarmWorker(end_at_once=end_at_once)
    process = psutil.Process(worker.run(tasks.whereabouts, None))
    worker.close()
    assert worker.pid is None
    assert psutil.wait_procs([process], timeout=5)[1] == []


def test_each_task_has_a_new_child_that_ends_after_it() -> None:
    child = KeptChild(30)
    pids = [child.run(tasks.whereabouts, None) for _ in range(2)]
    assert len(set(pids)) == 2
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_child_that_fails_or_exceeds_its_limit_leaves_no_process() -> None:
    before = set(psutil.Process().children())
    with pytest.raises(TaskFailed, match="no"):
        KeptChild(30).run(tasks.fail, "no")
    with pytest.raises(WorkerTimeout):
        KeptChild(0.4).run(tasks.sleep, 30.0)
    assert {p for p in psutil.Process().children() if p not in before and "resource_tracker" not in cmdline(p)} == set()


def cmdline(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return "resource_tracker"  # it has ended


def test_closing_ends_a_running_child() -> None:
    child = KeptChild(60)
    threading.Timer(1.0, child.close).start()
    began = time.monotonic()
    with pytest.raises(WorkerDied, match="the service is stopping"):
        child.run(tasks.sleep, 60.0)
    assert time.monotonic() - began < 10


def test_the_standard_error_of_a_worker_is_written_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    KeptChild(30, log).run(tasks.mutter, "a message of a library")
    assert log.read_text() == "a message of a library"


def test_a_kept_child_does_the_next_task_and_ends_after_its_time() -> None:
    child = KeptChild(30, keep_seconds=0.5)
    first = child.run(tasks.whereabouts, None)
    assert child.run(tasks.whereabouts, None) == first
    wait_for(lambda: child.pid is None, 10)
    assert not psutil.pid_exists(first)
    assert child.run(tasks.whereabouts, None) != first
    child.close()
    assert child.pid is None


OWNER = """
from service.execution.local import KeptChild
from tests.support import execution_tasks as tasks
child = KeptChild(60, keep_seconds=60.0)
print(child.run(tasks.whereabouts, None), flush=True)
child.run(tasks.sleep, {seconds})
print("idle", flush=True)
input()
"""


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_a_killed_owner_leaves_no_process(seconds: float) -> None:
    command = [sys.executable, "-c", OWNER.format(seconds=seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        if seconds == 0:
            assert owner.stdout.readline() == "idle\n"
        owner.kill()
        wait_for(lambda: not is_running(pid), 10)


REPORTING_OWNER = """
from service.execution.local import WarmWorker
from tests.support import execution_tasks as tasks
worker = WarmWorker()
print(worker.run(tasks.whereabouts, None), flush=True)
worker.run(tasks.{task}, 60, lambda pid: print(pid, flush=True))
"""


@pytest.mark.parametrize("task", ["hold_the_lock", "start_program"])
def test_a_killed_owner_leaves_no_process_that_native_code_holds_or_a_task_has_started(task: str) -> None:
    command = [sys.executable, "-c", REPORTING_OWNER.format(task=task)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pids = {int(owner.stdout.readline()) for _ in range(2)}
        time.sleep(0.5)  # the task reports, then enters native code: nothing shows from outside that it is there
        owner.kill()
        wait_for(lambda: not any(is_running(pid) for pid in pids), 10)


def test_a_task_over_its_limit_is_stopped_with_the_programs_it_has_started() -> None:
    started: list[int] = []
    with pytest.raises(WorkerTimeout):
        WarmWorker(limit_seconds=4.0).run(tasks.start_program, 60, started.append)
    wait_for(lambda: not is_running(started[0]), 10)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE  # nobody may reap an orphan in a container
    except psutil.NoSuchProcess:
        return False


def test_a_kept_child_that_died_or_failed_is_replaced() -> None:
    child = KeptChild(30, keep_seconds=60.0)
    killed = psutil.Process(child.run(tasks.whereabouts, None))
    killed.kill()
    wait_for(lambda: killed.status() == psutil.STATUS_ZOMBIE, 5)
    assert child.run(tasks.count_to, 1) == 1
    with pytest.raises(TaskFailed):
        child.run(tasks.fail, "no")
    assert child.pid is None
    child.close()
