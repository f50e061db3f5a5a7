"""Serves with several worker processes on one listening socket: starts them, replaces dead ones, ends them all."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FrameType

from service.api.server.listener import stop_new_connections
from service.api.server.server import SHUTDOWN_SECONDS

WORKER = "--worker"
"""Argument of a worker process, followed by the descriptors of the listening socket and of the shared memory."""

_POLL_SECONDS = 0.1
_END_SECONDS = SHUTDOWN_SECONDS + 3.0
"""How long workers may take to end before they are killed."""

_SHORT_LIFE_SECONDS = 10.0
_LONGEST_WAIT_SECONDS = 30.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Place:
    """One worker and its successors.

    Attributes:
        process: The worker; None until it is started.
        started: When, by the monotonic clock.
        failures: Workers in a row that ended soon after their start.
        next_start: When the next may start.
    """

    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    failures: int = 0
    next_start: float = 0.0


@dataclass(slots=True)
class Workers:
    """The worker processes of one listening socket.

    Attributes:
        listener: The socket; connections go to whichever worker accepts them first.
        memory: Descriptor of the shared memory of the rate limits.
        count: How many workers.
        command: Starts a worker; the arguments of `WORKER` are added.
    """

    listener: socket.socket
    memory: int
    count: int
    command: Sequence[str]
    _places: list[_Place] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Run until SIGTERM or SIGINT; the workers then have `SHUTDOWN_SECONDS` for what they have accepted."""
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        self._places = [_Place() for _ in range(self.count)]
        try:
            while not self._stopping.is_set():
                for place in self._places:
                    self._check(place)
                self._stopping.wait(_POLL_SECONDS)
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        """End the workers soon; called in any thread."""
        self._stopping.set()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping.set()

    def _check(self, place: _Place) -> None:
        now = time.monotonic()
        if place.process is not None:
            status = place.process.poll()
            if status is None:
                return
            self._ended(place.process)
            place.failures = place.failures + 1 if now - place.started < _SHORT_LIFE_SECONDS else 0
            wait = 0.0 if not place.failures else min(2.0 ** (place.failures - 1), _LONGEST_WAIT_SECONDS)
            place.next_start = now + wait
            _log.error("API worker %s ended with status %s; another starts", place.process.pid, status)
            place.process = None
        if now >= place.next_start:
            place.process, place.started = self._start(), now

    def _start(self) -> "subprocess.Popen[bytes]":
        # Its own session: Ctrl-C reaches this process alone, which ends the workers. Its standard input is a pipe that
        # closes when this process ends in any way.
        files = (self.listener.fileno(), self.memory)
        return subprocess.Popen(
            [*self.command, WORKER, *(str(file) for file in files)],
            pass_fds=files,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def _ended(self, process: "subprocess.Popen[bytes]") -> None:
        if process.stdin is not None:
            process.stdin.close()

    def _end(self) -> None:
        """End every worker: none accepts a new connection, each serves what it and the queue hold."""
        processes = [place.process for place in self._places if place.process is not None]
        stop_new_connections(self.listener)
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + _END_SECONDS
        for process in processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _log.error("API worker %s did not end within %s s and is killed", process.pid, _END_SECONDS)
                process.kill()
                process.wait()
            self._ended(process)


def worker_files(arguments: Sequence[str]) -> tuple[int, int] | None:
    """Return the descriptors of a worker's arguments; None for a process that is no worker."""
    if WORKER not in arguments:
        return None
    first = list(arguments).index(WORKER) + 1
    listener, memory = arguments[first : first + 2]
    return int(listener), int(memory)


def end_with_input() -> None:
    """End this process when its standard input closes, as it does when the parent process ends in any way."""

    def watch() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_END_SECONDS)
        os._exit(1)  # an event loop that hangs must not keep the port

    threading.Thread(target=watch, name="input watcher", daemon=True).start()
