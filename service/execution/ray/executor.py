"""The executor of a Ray cluster, in the owner's process."""

import multiprocessing
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, cast

from models.phases import Phase
from service.errors import SettingsError
from service.execution.executor import Answer, Request, Task, TaskFailed, WorkerDied, WorkerTimeout
from service.execution.owner import kill_worker
from service.execution.ray.cluster import ClusterConfig
from service.execution.ray.driver import drive
from service.execution.ray.node import cluster_variables

_CONTEXT = multiprocessing.get_context("spawn")
_END_SECONDS = 5.0
_POLL_SECONDS = 0.2
ON_CLUSTER = "on the cluster"
"""Phase in which a run waits for its tasks on the cluster."""
_STOPPING = "the task was stopped because the service is stopping"


class ClusterUnreachable(WorkerDied):
    """The cluster cannot be used now; a retry may succeed."""


class _NotTaken(WorkerDied):
    """The driver ended before it took the call; another driver can take it."""


class RayExecutor:
    """Runs tasks on a Ray cluster; calls of several threads run at the same time.

    Args:
        config: The cluster.
        limit_seconds: A call that takes longer is stopped, with its tasks.
        log: File that the driver's output is appended to; None = discarded.

    Raises:
        SettingsError: Ray is not installed, or the token cannot be read.
    """

    def __init__(self, config: ClusterConfig, limit_seconds: float, log: Path | None = None) -> None:
        if find_spec("ray") is None:
            raise SettingsError(
                f"TPLUS_EXECUTOR=ray:{config.address} needs the extra ray; install it with "
                "`pip install --require-hashes -r requirements/ray.txt`, or set TPLUS_EXECUTOR=local"
            )
        cluster_variables(config.token_file)  # read now, so that a bad file stops the start
        self._config, self._limit, self._log = config, limit_seconds, log
        self._lock = threading.Lock()
        self._driver: _Driver | None = None
        self._stop = threading.Event()

    @property
    def pid(self) -> int | None:
        """Process id of the driver, None before the first call and after its end."""
        driver = self._driver
        return None if driver is None else driver.process.pid

    def run(self, task: Task[Request, Answer], request: Request, report: Callable[[Any], None] | None = None) -> Answer:
        """Run a task on the cluster and wait for it.

        Raises:
            ClusterUnreachable: The cluster cannot be used now.
        """
        # The tasks of a call run at the same time on several machines: their own phases would not add up to a run's.
        with Phase(ON_CLUSTER):
            return cast(Answer, self._call(("run", task, request), report, self._limit))

    def slots(self) -> int:
        """Return how many tasks the cluster can run at a time, at least 1.

        Raises:
            ClusterUnreachable: The cluster cannot be used now.
        """
        return max(1, int(self._call(("slots",), None, self._config.connect_seconds)))

    def close(self) -> None:
        """Stop running calls with their tasks, and end the driver."""
        self._stop.set()
        with self._lock:
            if self._driver is not None:
                self._driver.end()
                self._driver = None

    def _call(self, message: tuple[Any, ...], report: Callable[[Any], None] | None, limit: float) -> Any:
        try:
            return self._connected().call(message, report, limit, self._stop)
        except _NotTaken:  # the driver was killed an instant before this call
            return self._connected().call(message, report, limit, self._stop)

    def _connected(self) -> "_Driver":
        with self._lock:
            if self._stop.is_set():
                raise WorkerDied(_STOPPING)
            if self._driver is not None and not self._driver.is_alive:
                self._driver.end()
                self._driver = None
            if self._driver is None:
                self._driver = _Driver(self._config, self._log, self._stop)
            return self._driver


class _Driver:
    """The driver process, and the events of each call."""

    def __init__(self, config: ClusterConfig, log: Path | None, stop: threading.Event) -> None:
        self._config, self._log = config, log
        self._pipe, child_pipe = _CONTEXT.Pipe()
        self.process: BaseProcess = _CONTEXT.Process(
            target=drive, args=(child_pipe, config, log), name="Ray driver", daemon=True
        )
        self.process.start()
        child_pipe.close()
        self._sending = threading.Lock()
        self._calls: dict[int, SimpleQueue[tuple[Any, ...]]] = {}
        self._count = 0
        self._lost = threading.Event()
        self._await_connection(self._pipe, stop)
        threading.Thread(target=self._receive, name="Ray events", daemon=True).start()

    @property
    def is_alive(self) -> bool:
        """Whether calls can be sent."""
        return self.process.is_alive() and not self._lost.is_set()

    def call(
        self, message: tuple[Any, ...], report: Callable[[Any], None] | None, limit: float, stop: threading.Event
    ) -> Any:
        """Send one call and wait for its end."""
        events: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        with self._sending:
            self._count += 1
            number = self._count
            self._calls[number] = events
            if self._lost.is_set():
                events.put(("lost",))
            else:
                try:
                    self._pipe.send((message[0], number, *message[1:]))
                except OSError:
                    events.put(("lost",))
        deadline = time.monotonic() + limit
        ended: type[WorkerDied] = _NotTaken
        try:
            while True:
                try:
                    kind, *rest = events.get(timeout=_POLL_SECONDS)
                except Empty:
                    if stop.is_set():
                        raise WorkerDied(_STOPPING) from None
                    if time.monotonic() > deadline:
                        raise WorkerTimeout(
                            f"the task took longer than its limit of {limit:.0f} s and was stopped"
                        ) from None
                    continue
                if kind == "done":
                    return rest[0]
                if kind == "taken":
                    ended = WorkerDied
                elif kind != "progress":
                    raise self._error(kind, rest, ended, stop)
                elif report is not None:
                    report(rest[0])
        except BaseException:
            self._cancel(number)
            raise
        finally:
            self._calls.pop(number, None)

    def end(self) -> None:
        """End the process and, with it, all tasks of its calls."""
        kill_worker(self.process)
        self.process.join(_END_SECONDS)
        self._lost.set()

    def _error(self, kind: str, rest: list[Any], ended: type[WorkerDied], stop: threading.Event) -> Exception:
        """Return the error of a call that has ended without an answer."""
        if kind == "failed":
            return TaskFailed(rest[1], rest[0])
        if kind != "lost":
            return WorkerDied(rest[0] if kind == "died" else "the task was stopped")
        if stop.is_set():
            return WorkerDied(_STOPPING)
        self.process.join(_END_SECONDS)
        where = "" if self._log is None else f"; see {self._log}"
        return ended(
            f"the connection to the Ray cluster at {self._config.address} was lost during a task (exit code "
            f"{self.process.exitcode} of the driver){where}"
        )

    def _cancel(self, number: int) -> None:
        with self._sending:
            if self.is_alive:
                try:
                    self._pipe.send(("cancel", number))
                except OSError:
                    self._lost.set()

    def _await_connection(self, pipe: Connection, stop: threading.Event) -> None:
        deadline = time.monotonic() + self._config.connect_seconds
        sentence = (
            f"the Ray cluster at {self._config.address} has not accepted a connection within "
            f"{self._config.connect_seconds:.0f} s (TPLUS_RAY_CONNECT_SECONDS); compare the token of "
            f"TPLUS_RAY_TOKEN_FILE with the cluster's{'' if self._log is None else f', and see {self._log}'}"
        )
        try:
            while time.monotonic() < deadline and not stop.is_set():
                if pipe.poll(_POLL_SECONDS):
                    kind, *rest = pipe.recv()
                    if kind == "connected":
                        return
                    sentence = rest[0]
                    break
        except (EOFError, OSError):
            sentence = f"the driver of the Ray cluster at {self._config.address} ended while it connected; {sentence}"
        self.end()
        if stop.is_set():
            raise WorkerDied(_STOPPING)
        raise ClusterUnreachable(sentence)

    def _receive(self) -> None:
        """Hand each event to its call, until the driver ends."""
        try:
            while True:
                kind, number, *rest = self._pipe.recv()
                events = self._calls.get(number)
                if events is not None:
                    events.put((kind, *rest))
        except (EOFError, OSError):
            with self._sending:
                self._lost.set()
                for events in self._calls.values():
                    events.put(("lost",))
