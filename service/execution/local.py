"""Runs tasks in spawned processes of this machine (never forked: TensorFlow hangs in a fork).

`WarmWorker` keeps one process alive between tasks and replaces it when it dies. `KeptChild` ends its process a while
after a task, so that all of its memory is freed, unless another task comes before: that one needs no new start.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, cast

from models.phases import Phase, PhaseRecorder, PhaseUsage
from service.execution.executor import Answer, Request, Task, TaskFailed, WorkerDied, WorkerTimeout, disk_message
from service.execution.owner import end_with_owner, kill_worker

_CONTEXT = multiprocessing.get_context("spawn")
_END_SECONDS = 5.0
HAND_OVER = "start and hand over"
"""Phase in which a worker process starts, imports, and receives or sends data."""


class _NotTaken(WorkerDied):
    """The process ended before it took the task; another process can take it."""


def _serve(pipe: Connection, log: Path | None) -> None:
    """Receive (task, request) in a loop; for each send that it is taken, progress, and one result."""
    end_with_owner()
    if log is not None:
        # TensorFlow does not use Python's logging; it writes to the descriptor.
        with suppress(OSError):  # a full or read-only disk must not stop the worker
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(descriptor, 2)
            os.close(descriptor)
    # Ctrl-C and the SIGTERM of some supervisors reach the whole process group; the owner decides when the worker ends.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while True:
        try:
            message = pipe.recv()
        except EOFError:
            return
        if message is None:
            return
        pipe.send(("taken",))
        task, request = message
        try:
            with PhaseRecorder(whole_process=True) as recorder:
                answer = task(request, lambda progress: pipe.send(("progress", progress)))
        except Exception as error:  # the owner raises it again by name; the worker survives a failed task
            reason = disk_message(error) if isinstance(error, OSError) else str(error)
            pipe.send(("failed", type(error).__name__, reason))
        else:
            pipe.send(("done", answer, recorder.phases()))


class _Process:
    """A spawned process and this end of its pipe."""

    def __init__(self, name: str, log: Path | None) -> None:
        self._log = log
        self.pipe, child_pipe = _CONTEXT.Pipe()
        self.process: BaseProcess = _CONTEXT.Process(target=_serve, args=(child_pipe, log), name=name, daemon=True)
        self.process.start()
        child_pipe.close()

    def run(
        self,
        task: Any,
        request: Any,
        report: Callable[[Any], None] | None,
        limit_seconds: float | None,
        stop: threading.Event,
    ) -> Any:
        with Phase(HAND_OVER) as waiting:
            answer, phases = self._run(task, request, report, limit_seconds, stop)
            waiting.absorb(phases)
        return answer

    def _run(
        self,
        task: Any,
        request: Any,
        report: Callable[[Any], None] | None,
        limit_seconds: float | None,
        stop: threading.Event,
    ) -> tuple[Any, tuple[PhaseUsage, ...]]:
        """Return the answer of the task, and the phases that the process measured."""
        deadline = None if limit_seconds is None else time.monotonic() + limit_seconds
        ended: type[WorkerDied] = _NotTaken
        try:
            self.pipe.send((task, request))
            while True:
                if not self.pipe.poll(0.2):
                    if stop.is_set():
                        raise WorkerDied("the task was stopped because the service is stopping")
                    if deadline is not None and time.monotonic() > deadline:
                        raise WorkerTimeout(
                            f"the task took longer than its limit of {limit_seconds:.0f} s and was stopped"
                        )
                    continue
                kind, *rest = self.pipe.recv()
                if kind == "taken":
                    ended = WorkerDied
                elif kind == "progress":
                    if report is not None:
                        report(rest[0])
                elif kind == "failed":
                    raise TaskFailed(rest[1], rest[0])
                else:
                    return rest[0], rest[1]
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            self.process.join(_END_SECONDS)
            causes = [] if self.process.exitcode != -signal.SIGKILL else ["memory may have run out"]
            causes += [] if self._log is None else [f"see {self._log}"]
            raise ended(
                f"the {self.process.name} process ended during a task (exit code {self.process.exitcode})"
                f"{'; ' if causes else ''}{', '.join(causes)}"
            ) from error

    def end(self) -> None:
        if self.process.is_alive():
            try:
                self.pipe.send(None)
            except OSError:
                kill_worker(self.process)
            self.process.join(_END_SECONDS if self.process.exitcode is None else 0)
        if self.process.is_alive():
            kill_worker(self.process)
            self.process.join(_END_SECONDS)
        self.pipe.close()

    def kill(self) -> None:
        kill_worker(self.process)
        self.process.join(_END_SECONDS)
        self.pipe.close()


class WarmWorker:
    """One process that stays warm; tasks run one after the other.

    Args:
        limit_seconds: A task that takes longer is stopped with the process.
        log: File that the process's standard error is appended to; None = that of this process.
        end_at_once: Whether `close` kills the process, for tasks that leave nothing to save: TensorFlow takes over a
            second to end.
    """

    def __init__(self, limit_seconds: float = 120.0, log: Path | None = None, *, end_at_once: bool = False) -> None:
        self._limit, self._end_at_once = limit_seconds, end_at_once
        self._log = log
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._stop = threading.Event()

    @property
    def pid(self) -> int | None:
        """Process id of the worker, None before its first task."""
        return None if self._process is None else self._process.process.pid

    def run(self, task: Task[Request, Answer], request: Request, report: Callable[[Any], None] | None = None) -> Answer:
        """Run a task in the warm process.

        A dead process is replaced before the task or after its failure.
        """
        with self._lock:
            try:
                return cast(Answer, self._run(task, request, report))
            except _NotTaken:  # killed between two tasks, an instant before this one
                return cast(Answer, self._run(task, request, report))

    def _run(self, task: Any, request: Any, report: Callable[[Any], None] | None) -> Any:
        if self._process is None or not self._process.process.is_alive():
            self._process = _Process("forecasting worker", self._log)
        try:
            return self._process.run(task, request, report, self._limit, self._stop)
        except (WorkerDied, WorkerTimeout):
            kill_worker(self._process.process)
            self._process = None
            raise

    def slots(self) -> int:
        """Return 1: tasks run one after the other."""
        return 1

    def close(self) -> None:
        """End the process."""
        self._stop.set()
        with self._lock:
            if self._process is not None:
                if self._end_at_once:
                    self._process.kill()
                else:
                    self._process.end()
                self._process = None


class KeptChild:
    """One process that is ended some seconds after its last task.

    A training imports TensorFlow and compiles its graphs first: the next one in the same process does neither.

    Args:
        limit_seconds: A task that takes longer is stopped with the process.
        log: File that the process's standard error is appended to; None = that of this process.
        keep_seconds: How long the process is kept after a task; 0 = it ends with the task.
    """

    def __init__(self, limit_seconds: float, log: Path | None = None, keep_seconds: float = 0.0) -> None:
        self._limit = limit_seconds
        self._log = log
        self._keep = keep_seconds
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._timer: threading.Timer | None = None
        self._stop = threading.Event()

    @property
    def pid(self) -> int | None:
        """Process id while the process lives, else None."""
        process = self._process
        return None if process is None else process.process.pid

    def run(self, task: Task[Request, Answer], request: Request, report: Callable[[Any], None] | None = None) -> Answer:
        """Run a task in the kept process, or in a new one."""
        with self._lock:
            self._cancel()
            try:
                answer, process = self._run(task, request, report)
            except _NotTaken:  # killed between two tasks, an instant before this one
                answer, process = self._run(task, request, report)
            if self._keep > 0 and not self._stop.is_set():
                self._timer = threading.Timer(self._keep, self._expire, (process,))
                self._timer.daemon = True
                self._timer.start()
            else:
                self._end()
        return cast(Answer, answer)

    def _run(self, task: Any, request: Any, report: Callable[[Any], None] | None) -> tuple[Any, _Process]:
        if self._process is None or not self._process.process.is_alive():
            self._process = _Process("training", self._log)
        process = self._process
        try:
            return process.run(task, request, report, self._limit, self._stop), process
        except BaseException:
            kill_worker(process.process)
            self._end()
            raise

    def slots(self) -> int:
        """Return 1: tasks run one after the other."""
        return 1

    def close(self) -> None:
        """Stop a running task and end the process."""
        self._stop.set()
        with self._lock:
            self._cancel()
            self._end()

    def _expire(self, process: _Process) -> None:
        with self._lock:
            if process is self._process and self._timer is threading.current_thread():
                self._end()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None
