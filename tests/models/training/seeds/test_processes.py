"""Seeds in real processes: same results as in this one, order, progress, and ends by force."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pytest

from models.errors import SeedProcessDied
from models.phases import Phase, PhaseRecorder
from models.training.device import Compute, Device
from models.training.fit_seed import EpochEnd
from models.training.seeds import processes
from models.training.seeds.fit_seeds import FitTask
from models.training.seeds.processes import balanced, end_processes, fit_all_seeds, process_count
from models.training.seeds.shared_task import TaskLayout, share_task
from tests.support.fit_task import small_task
from tests.support.jax_training import JaxRun

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="seeds have processes of their own on Linux only")

TWO = Compute(Device.CPU, 2)
OWNER = """
import time
from models.training.device import Device
from models.training.seeds.processes import SeedProcesses
print(*SeedProcesses(2, Device.CPU).pids, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if len(os.sched_getaffinity(0)) < 2:
        monkeypatch.setattr(processes, "balanced", lambda seeds, _cores: min(seeds, 2))
    yield
    end_processes()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ended(pids: tuple[int, ...]) -> bool:
    until = time.monotonic() + 20
    while any(is_running(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(is_running(pid) for pid in pids)


def test_seeds_in_processes_have_the_results_of_one_process_until_one_is_killed(
    jax_run: JaxRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in jax_run.variables.items():
        monkeypatch.setenv(name, value)
    task, ends = small_task((3, 1, 2), mask_rate=0.3), list[EpochEnd]()
    with PhaseRecorder(whole_process=True) as recorder, Phase("train"):
        begun = process_time()
        apart = fit_all_seeds(task, ends.append, TWO)
        here = process_time() - begun
    assert recorder.phases()[0].cpu_seconds > here + 0.02  # and what the two processes computed
    for seed, fitted in zip((3, 1, 2), apart, strict=True):
        own = jax_run.arrays(f"seed_{seed}")
        assert all(np.allclose(fitted.weights[name], own[name], atol=1e-6) for name in own)
        assert [end.epoch for end in ends if end.seed == seed] == [1, 2, 3]
    assert [fitted.val_loss for fitted in apart] == pytest.approx(jax_run.facts["val_losses"], rel=1e-6)
    assert [fitted.epochs for fitted in apart] == [3, 3, 3]
    assert apart[0].device.to_dict() == jax_run.facts["device"]

    # The processes are kept, each with a framework; one is killed while both train.
    assert processes._kept_memory() > 2 * 50 * 2**20
    kept = processes._kept[0]
    pids = kept.pids

    def kill(_end: EpochEnd) -> None:
        os.kill(pids[1], signal.SIGKILL)

    with pytest.raises(SeedProcessDied, match=r"exit code -9.*TPLUS_TRAIN_PROCESSES"):
        fit_all_seeds(replace(task, config=replace(task.config, max_epochs=5000, patience=5000)), kill, TWO)
    assert ended(pids)
    assert not kept.is_usable


def ignores_sigterm(pid: int) -> bool:
    mask = Path(f"/proc/{pid}/status").read_text().partition("SigIgn:")[2].split()[0]
    return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("busy", [False, True])
def test_processes_end_with_their_owner_that_is_killed(busy: bool) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pids = tuple(int(word) for word in owner.stdout.readline().split())
    assert len(pids) == 2
    # A process watches its owner from its first lines on, then ignores SIGTERM; before, it ends when it reads its pipe.
    for pid in pids if busy else ():
        until = time.monotonic() + 20
        while not ignores_sigterm(pid) and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(pid, signal.SIGSTOP)  # it cannot read its pipe, as in a long call of the framework
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert ended(pids)


def test_the_reason_of_any_failure_reaches_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_short(task: FitTask) -> tuple[TaskLayout, int]:
        layout, memory = share_task(task)
        return replace(layout, size=2 * layout.size), memory

    monkeypatch.setattr(processes, "share_task", too_short)
    failing = processes.SeedProcesses(1, Device.CPU)
    pids = failing.pids
    with pytest.raises(SeedProcessDied, match="trains seeds failed: ValueError: mmap length is greater"):
        failing.fit(small_task((0,)), lambda _end: None)
    assert ended(pids)
    failing.close()  # nothing is left to close


def test_processes_that_cannot_all_start_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class OneProcess(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *words: Any, **options: Any) -> None:
            if started:
                raise BlockingIOError(11, "Resource temporarily unavailable")
            super().__init__(*words, **options)
            started.append(self)

    monkeypatch.setattr(processes.subprocess, "Popen", OneProcess)
    with pytest.raises(BlockingIOError):
        processes.SeedProcesses(2, Device.CPU)
    assert ended((started[0].pid,))


@pytest.mark.parametrize(
    ("usable", "starts"),
    [(4, [(0, 1), (2, 3)]), (2, [(0,), (1,)]), (1, [(0,), (1,)])],
)
def test_a_limit_of_cpu_time_lowers_the_threads_of_each_process(
    usable: int, starts: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 1, 2, 3})
    monkeypatch.setattr(processes, "usable_cores", lambda: usable)
    given: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    monkeypatch.setattr(processes.SeedProcesses, "_start", lambda _self, *cores: given.append(cores))
    processes.SeedProcesses(2, Device.CPU)
    assert [start for start, _ in given] == starts
    assert [cores for _, cores in given] == (starts if usable == 4 else [(0, 1, 2, 3)] * 2)


@pytest.mark.parametrize(
    ("seeds", "cores", "count"), [(3, 2, 3), (8, 2, 2), (5, 2, 3), (2, 4, 2), (3, 1, 1), (1, 8, 1), (4, 2, 2)]
)
def test_seeds_are_balanced_over_cores(seeds: int, cores: int, count: int) -> None:
    # 3 seeds on 2 cores: two rounds of two take 2, one of three that share the cores 1.5.
    assert balanced(seeds, cores) == count


def test_small_trainings_and_scarce_memory_stay_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "balanced", lambda seeds, _cores: seeds)
    task = small_task((0, 1, 2))
    assert process_count(task, Compute(Device.CPU, None)) == 1
    assert process_count(task, Compute(Device.CPU, 1)) == 1
    # 479 windows, three seeds: 5,000,000 windows are 3,480 epochs.
    large = replace(task, config=replace(task.config, max_epochs=3_480))
    monkeypatch.setattr(processes, "free_memory", lambda: 8 * 2**30)
    assert process_count(large, Compute(Device.CPU, None)) == 3
    assert process_count(large, Compute(Device.CPU, 2)) == 2
    # 80 % of 2 GiB are 1,638 MiB: two processes of 700 MiB.
    monkeypatch.setattr(processes, "free_memory", lambda: 2 * 2**30)
    assert process_count(large, Compute(Device.CPU, None)) == 2
    monkeypatch.setattr(processes, "_kept_memory", lambda: 2**30)  # which a new training has again: 2,457 MiB
    assert process_count(large, Compute(Device.CPU, None)) == 3
    monkeypatch.undo()
    monkeypatch.setattr(processes, "balanced", lambda seeds, _cores: seeds)
    monkeypatch.setattr(processes, "free_memory", lambda: 2**29)
    assert process_count(large, Compute(Device.CPU, None)) == 1
    monkeypatch.setattr(processes, "free_memory", lambda: 8 * 2**30)
    monkeypatch.setattr(processes, "machine_gpus", lambda: 1)
    assert process_count(large, Compute(Device.AUTO, None)) == 1
