"""The program of a process that trains seeds: `python -m models.training.seeds.worker`, started by `processes`.

It stays on the cores that it is given, so the framework starts as many threads as there are cores.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from time import process_time

from models.errors import ModelsError, SeedProcessDied
from models.phases import peak_memory
from models.training.device import Device, use_device
from models.training.fit_seed import EpochEnd
from models.training.seeds.fit_seeds import FitTask, fit_seeds
from models.training.seeds.shared_task import read_task


@dataclass(frozen=True, slots=True)
class WorkerArguments:
    """The arguments of a seed process.

    Attributes:
        pipe: Descriptor of its connection.
        owner: Descriptor of a pipe whose other end is open as long as its owner lives.
        start_cores: Cores on which the framework starts; it starts a thread for each.
        cores: Cores on which it computes.
        device: Where it trains.
    """

    pipe: int
    owner: int
    start_cores: tuple[int, ...]
    cores: tuple[int, ...]
    device: str

    def to_json(self) -> str:
        """Return them as the one argument of the program."""
        return json.dumps([self.pipe, self.owner, self.start_cores, self.cores, self.device])

    @staticmethod
    def from_json(text: str) -> "WorkerArguments":
        """Read the argument of the program."""
        pipe, owner, start_cores, cores, device = json.loads(text)
        return WorkerArguments(pipe, owner, tuple(start_cores), tuple(cores), device)


class _Progress:
    """Sends each epoch with the CPU seconds since the one before, and the peak of memory in bytes."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._counted = process_time()

    def __call__(self, end: EpochEnd) -> None:
        before, self._counted = self._counted, process_time()
        self._pipe.send(("progress", (end, self._counted - before, peak_memory())))


def main(arguments: WorkerArguments) -> None:
    """Receive tasks and seeds until the owner ends; send progress and one result for each seed."""
    _end_with_owner(arguments.owner)
    # Ctrl-C and the SIGTERM of some supervisors reach the whole process group; the owner decides when this one ends.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.sched_setaffinity(0, arguments.start_cores)
    pipe = Connection(arguments.pipe)
    task: FitTask | None = None
    with suppress(EOFError, ConnectionError):  # the owner has ended
        while True:
            kind, content = pipe.recv()
            try:
                if kind == "task":
                    descriptor = recv_handle(pipe)
                    task = read_task(content, descriptor)
                    os.close(descriptor)
                    _start_framework(arguments)
                else:
                    assert task is not None
                    fitted = fit_seeds(task, (content,), _Progress(pipe), Device(arguments.device))
                    pipe.send(("done", fitted[0]))
            except ConnectionError:
                raise
            except ModelsError as error:
                pipe.send(("failed", error))
            except Exception as error:  # the reason must reach the user, whatever a framework raises
                traceback.print_exc()
                reason = f"a process that trains seeds failed: {type(error).__name__}: {error}"
                pipe.send(("failed", SeedProcessDied(reason)))


def _start_framework(arguments: WorkerArguments) -> None:
    """Import the framework and start its threads, then let them use all the cores they may compute on."""
    use_device(Device(arguments.device))
    import keras

    keras.ops.matmul(keras.ops.ones((2, 2)), keras.ops.ones((2, 2)))
    for thread in Path("/proc/self/task").iterdir():
        _move(int(thread.name), arguments.cores)


def _move(thread: int, cores: Iterable[int]) -> None:
    try:
        os.sched_setaffinity(thread, cores)
    except ProcessLookupError:
        return  # the thread has ended


if sys.platform == "linux":
    import fcntl

    def _end_with_owner(pipe: int) -> None:
        """Let the kernel kill this process when the owner's end of a pipe closes, whatever it is doing."""
        fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)


if __name__ == "__main__":
    main(WorkerArguments.from_json(sys.argv[1]))
