"""Runs commands in forks of a process that has imported the command line: the imports take 2 s of CPU.

The server has one thread. A forked process returns from `serve` and calls `main()` like a process started
alone, with the arguments, environment and folder of its request and its output in files. The server ends with the test
run.
"""

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

_SERVER = "from tests.support.command_server import serve; serve(); from service.cli.main import main; main()"
_READY_SECONDS = 120.0


class CommandServer:
    """The client's side: starts the server and sends it commands; usable from several threads."""

    def __init__(self) -> None:
        with ExitStack() as ends:
            folder = ends.enter_context(tempfile.TemporaryDirectory(prefix="tplus-commands-"))
            self._address = str(Path(folder) / "socket")
            listener = ends.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(self._address)
            listener.listen(64)
            # One thread, so that forking is safe: OpenBLAS would start more when NumPy is imported.
            environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SERVER, str(listener.fileno())],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[listener.fileno()], env=environment,
            )  # fmt: skip
            listener.close()
            ends.callback(self._end)
            self._ends = ends.pop_all()

    def run(
        self, words: Sequence[str], environment: Mapping[str, str], folder: Path, limit_seconds: float
    ) -> tuple[int, str, str]:
        """Run a command to its end.

        Args:
            words: Arguments after the program's name.
            environment: Its whole environment.
            folder: Its working folder.
            limit_seconds: Time after which it is killed.

        Returns:
            Exit status, negative for a signal; standard output; standard error.

        Raises:
            subprocess.TimeoutExpired: It took longer than the limit.
        """
        with tempfile.TemporaryDirectory() as output, socket.socket(socket.AF_UNIX) as connection:
            paths = [str(Path(output) / name) for name in ("out", "error")]
            connection.settimeout(_READY_SECONDS)
            connection.connect(self._address)
            request = {"words": list(words), "environment": dict(environment), "folder": str(folder), "paths": paths}
            with connection.makefile("rw") as stream:
                stream.write(json.dumps(request) + "\n")
                stream.flush()
                pid = int(stream.readline())
                connection.settimeout(limit_seconds)
                try:
                    status = int(stream.readline())
                except TimeoutError:
                    os.kill(pid, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(list(words), limit_seconds) from None
            out, error = (Path(path).read_text() for path in paths)
            return status, out, error

    def close(self) -> None:
        """Stop the server."""
        self._ends.close()

    def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


_lock = threading.Lock()
_servers: list[CommandServer] = []


def command_server() -> CommandServer:
    """Return the test run's server, started at first use."""
    with _lock:
        if not _servers:
            _servers.append(CommandServer())
        return _servers[0]


def close_command_server() -> None:
    """Stop the test run's server if there is one."""
    with _lock:
        while _servers:
            _servers.pop().close()


def serve() -> None:
    """Serve requests; returns in each forked process, ready to call `main`."""
    import_commands()
    gc.collect()
    gc.freeze()  # otherwise each process collects all imported objects at its end: 0.6 s of CPU
    listener = socket.socket(fileno=int(sys.argv[1]))
    running: dict[int, socket.socket] = {}

    def notify_ended(*_: object) -> None:
        while running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            # A client that gave up is gone; the next one still needs this process.
            with running.pop(pid) as connection, suppress(OSError):
                connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())

    signal.signal(signal.SIGCHLD, notify_ended)
    while True:
        readable, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in readable:
            os._exit(0)
        connection, _ = listener.accept()
        with connection.makefile() as stream:
            request = json.loads(stream.readline())
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        pid = os.fork()
        if pid == 0:
            for each in (listener, connection, *running.values()):
                each.close()
            become(request)
            return
        connection.sendall(f"{pid}\n".encode())
        running[pid] = connection
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])


def import_commands() -> None:
    """Import the modules of the commands; not TensorFlow, which hangs in a fork."""
    from importlib import import_module

    from service.cli.main import COMMANDS

    for module in COMMANDS.values():
        import_module(module)
    assert "tensorflow" not in sys.modules


def become(request: Mapping[str, Any]) -> None:
    """Take over a request's arguments, environment, folder and files, and reset the signals."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = ["-c", *request["words"]]
    for number, path in ((0, os.devnull), *zip((1, 2), request["paths"], strict=True)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
