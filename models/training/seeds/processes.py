"""Train seeds at the same time, each in a process of its own with as many threads as it has cores.

A small network does not keep two threads busy: two processes with a thread each do more work. The processes are kept
for the next training, since each imports the framework and compiles. They are started as programs, not by
`multiprocessing`, whose workers (the training process of the service is one) may not have children. They end with
their owner, however it ends.
"""

import atexit
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import send_handle
from pathlib import Path
from typing import cast

import models
from models.errors import SeedProcessDied
from models.machine import free_memory, usable_cores
from models.phases import count_other_process
from models.training.device import Compute, Device, machine_gpus
from models.training.fit_seed import EpochEnd, warm_epochs
from models.training.seeds.fit_seeds import FitTask, FittedSeed, fit_seeds
from models.training.seeds.shared_task import share_task
from models.training.seeds.worker import WorkerArguments

MIN_WINDOWS = 5_000_000
"""Windows over all epochs and seeds from which processes are worth their start: about half a minute of one."""

PROCESS_BYTES = 700 * 2**20
"""Memory of a process without data: framework, compiled network."""

MEMORY_SHARE = 0.8
"""Part of the free memory that the processes may take."""

_END_SECONDS = 5.0


def fit_all_seeds(task: FitTask, report: Callable[[EpochEnd], None], compute: Compute) -> tuple[FittedSeed, ...]:
    """Train all seeds of a task, in processes of their own if that is allowed and worth their start.

    Results are those of one process with as many threads as each of these processes has, bit for bit; another number
    of threads sums in another order.

    Args:
        task: What to train.
        report: Called after each epoch of each seed; seeds that are trained at the same time alternate.
        compute: Where to train.

    Returns:
        The trained seeds, in the order of the config's.

    Raises:
        DeviceError: A GPU is required and the framework finds none.
        SeedProcessDied: One of the processes failed or ended.
        TooLittleHistory: The training span has no window.
        UnknownNetwork: The network of the config is not registered.
    """
    count = process_count(task, compute)
    if count == 1:
        return fit_seeds(task, task.config.seeds, report, compute.device)
    return _pool(count, compute.device).fit(task, report)


def process_count(task: FitTask, compute: Compute) -> int:
    """Return the processes to train a task with, by its work, the cores and the free memory; 1 = this one."""
    seeds, limit = len(task.config.seeds), compute.processes
    if limit == 1 or seeds == 1 or sys.platform != "linux":
        return 1
    if compute.device is not Device.CPU and machine_gpus():
        return 1  # a GPU trains all seeds as one batched network
    if limit is None:
        epochs = warm_epochs(task.config) if task.start else task.config.max_epochs
        if len(task.train) * epochs * seeds < MIN_WINDOWS:
            return 1
        limit = seeds
    own = PROCESS_BYTES + 2 * task.train.inputs.nbytes
    free = free_memory() + _kept_memory() - task.train.inputs.nbytes
    fitting = int(MEMORY_SHARE * free / own)
    best = balanced(seeds, usable_cores())
    return max(1, min(best, limit, fitting))


def balanced(seeds: int, cores: int) -> int:
    """Return the number of processes that trains seeds soonest, up to twice the cores; the smallest of equals.

    With as many processes as cores, an odd seed leaves a core idle at the end; a few more processes share the cores.
    """
    if cores == 1 or seeds <= cores:
        return min(seeds, cores)

    def rounds(count: int) -> float:
        """Return the time in units of a seed on a core of its own: more seeds than cores share the cores."""
        whole, rest = divmod(seeds, count)
        return whole * count / cores + (max(rest / cores, 1.0) if rest else 0.0)

    return min(range(cores, min(seeds, 2 * cores) + 1), key=lambda count: (rounds(count), count))


def _kept_memory() -> int:
    """Return the bytes that the kept processes hold for themselves: the next training has them, one way or another."""
    held = 0
    for pid in _kept[0].pids if _kept else ():
        with suppress(OSError):  # it has ended
            _, resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[:3]
            held += (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
    return held


class SeedProcesses:
    """Processes that train seeds and are kept between tasks.

    Args:
        count: Number of processes.
        device: Where they train.
    """

    def __init__(self, count: int, device: Device) -> None:
        self.count, self.device = count, device
        self._processes: list[subprocess.Popen[bytes]] = []
        self._pipes: list[Connection] = []
        self._alive: list[int] = []
        cores, usable = sorted(os.sched_getaffinity(0)), usable_cores()
        try:
            for number in range(count):
                if count <= usable == len(cores):
                    own = tuple(cores[number * usable // count : (number + 1) * usable // count])
                    self._start(own, own)
                else:  # a share of the threads each, on any core
                    threads = max(1, usable // count)
                    first = number * threads % (len(cores) - threads + 1)
                    self._start(tuple(cores[first : first + threads]), tuple(cores))
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> tuple[int, ...]:
        """Ids of the processes."""
        return tuple(process.pid for process in self._processes)

    @property
    def is_usable(self) -> bool:
        """Whether all processes are alive."""
        return bool(self._processes) and all(process.poll() is None for process in self._processes)

    def fit(self, task: FitTask, report: Callable[[EpochEnd], None]) -> tuple[FittedSeed, ...]:
        """Train all seeds of a task; see `fit_all_seeds`. After an error the processes have ended."""
        try:
            return self._fit(task, report)
        except BaseException:
            self.close()
            raise

    def _fit(self, task: FitTask, report: Callable[[EpochEnd], None]) -> tuple[FittedSeed, ...]:
        self._send_task(task)
        waiting = list(task.config.seeds)
        at_work: dict[Connection, int] = {}
        fitted: dict[int, FittedSeed] = {}
        for pipe in self._pipes:
            self._next(pipe, waiting, at_work)
        while at_work:
            for ready in wait(list(at_work)):
                pipe = cast(Connection, ready)
                try:
                    kind, content = pipe.recv()
                except (EOFError, ConnectionResetError) as error:
                    raise self._died(pipe) from error
                if kind == "progress":
                    end, cpu_seconds, peak = content
                    count_other_process(cpu_seconds, peak)
                    report(end)
                elif kind == "failed":
                    raise content
                else:
                    fitted[at_work.pop(pipe)] = content
                    self._next(pipe, waiting, at_work)
        return tuple(fitted[seed] for seed in task.config.seeds)

    def close(self) -> None:
        """End all processes."""
        alive, pipes, processes = self._alive, self._pipes, self._processes
        self._alive, self._pipes, self._processes = [], [], []
        for descriptor in alive:
            os.close(descriptor)  # the kernel kills them
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.kill()
        for process in processes:
            with suppress(subprocess.TimeoutExpired):  # it ends as soon as the kernel lets it
                process.wait(_END_SECONDS)

    def _start(self, start_cores: tuple[int, ...], cores: tuple[int, ...]) -> None:
        pipe, its_pipe = Pipe()
        its_end, alive = os.pipe()
        arguments = WorkerArguments(its_pipe.fileno(), its_end, start_cores, cores, self.device.value)
        self._pipes.append(pipe)
        self._alive.append(alive)
        try:
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "models.training.seeds.worker", arguments.to_json()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    cwd=Path(models.__file__).parents[1],
                    pass_fds=(its_pipe.fileno(), its_end),
                )
            )
        finally:
            its_pipe.close()
            os.close(its_end)

    def _send_task(self, task: FitTask) -> None:
        layout, memory = share_task(task)
        try:
            for pipe, process in zip(self._pipes, self._processes, strict=True):
                try:
                    pipe.send(("task", layout))
                    send_handle(pipe, memory, process.pid)
                except OSError as error:
                    raise self._died(pipe) from error
        finally:
            os.close(memory)

    def _next(self, pipe: Connection, waiting: list[int], at_work: dict[Connection, int]) -> None:
        if waiting:
            try:
                pipe.send(("seed", waiting[0]))
            except OSError as error:
                raise self._died(pipe) from error
            at_work[pipe] = waiting.pop(0)

    def _died(self, pipe: Connection) -> SeedProcessDied:
        process = self._processes[self._pipes.index(pipe)]
        with suppress(subprocess.TimeoutExpired):  # it has closed its pipe and is still ending
            process.wait(_END_SECONDS)
        code = process.returncode
        cause = "; memory may have run out: set TPLUS_TRAIN_PROCESSES to a smaller number" if code == -9 else ""
        return SeedProcessDied(f"a process that trains seeds ended during a training (exit code {code}){cause}")


_kept: list[SeedProcesses] = []


def _pool(count: int, device: Device) -> SeedProcesses:
    """Return the kept processes, or new ones."""
    if _kept and (_kept[0].count, _kept[0].device) == (count, device) and _kept[0].is_usable:
        return _kept[0]
    end_processes()
    _kept.append(SeedProcesses(count, device))
    return _kept[0]


@atexit.register
def end_processes() -> None:
    """End the kept processes."""
    while _kept:
        _kept.pop().close()
