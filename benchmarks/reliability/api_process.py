"""The API in processes of its own, and a client that speaks HTTP byte by byte, for trials of its limits."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import IO

import psutil

_REPOSITORY = Path(__file__).parents[2]
_START_SECONDS = 60.0
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Api:
    """A running API.

    Attributes:
        process: The process that was started.
        port: Its port on loopback.
    """

    process: "subprocess.Popen[str]"
    port: int

    def processes(self) -> list[psutil.Process]:
        """Return the process and its workers."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def megabytes(self) -> float:
        """Return the resident memory of all of them."""
        return sum(process.memory_info().rss for process in self.processes()) / 1e6

    def open_files(self) -> int:
        """Return the open file descriptors of all of them."""
        return sum(process.num_fds() for process in self.processes())

    def connect(self, seconds: float = 10.0) -> socket.socket:
        """Return a connection with a time limit."""
        return socket.create_connection(("127.0.0.1", self.port), seconds)


@contextmanager
def running_api(database: Path, settings: Mapping[str, str], log: IO[bytes] | None = None) -> Iterator[Api]:
    """Serve an SQLite file with some settings; every worker answers when the block begins.

    Args:
        database: The file.
        settings: Further variables of its environment.
        log: Receives its log; None = standard error.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TPLUS_")}
    own = {
        "TPLUS_DATABASE_URL": f"sqlite:///{database}",
        "TPLUS_DATA_DIR": str(database.parent),
        "TPLUS_PORT": str(port),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "service.app"],
        env=environment | own | dict(settings),
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        cwd=_REPOSITORY,
    )
    try:
        assert process.stdout is not None
        json.loads(process.stdout.readline())
        api = Api(process, port)
        _wait_for(api, int(settings.get("TPLUS_WORKERS", "1")))
        yield api
    finally:
        process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _wait_for(api: Api, workers: int) -> None:
    """Wait until each worker listens: it then waits in the event loop, with the socket among what it polls."""
    deadline = monotonic() + _START_SECONDS
    while monotonic() < deadline:
        own = api.processes()
        ready = own[1:] if workers > 1 else own
        if len(ready) == workers and all(_polls(process) for process in ready) and exchange(api, [HEALTH]).status:
            return
        sleep(0.05)
    raise TimeoutError("the API did not start in time")


def _polls(process: psutil.Process) -> bool:
    folder = Path(f"/proc/{process.pid}/fd")
    try:
        return any(os.readlink(each).endswith("[eventpoll]") for each in folder.iterdir())
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Exchange:
    """Result of what was sent on one connection.

    Attributes:
        status: Status of the last answer; None = closed without one.
        seconds: Until the server closed the connection, or the client's limit.
        sent: Bytes that were accepted for sending.
        is_closed: Whether the server closed it.
    """

    status: int | None
    seconds: float
    sent: int
    is_closed: bool


def exchange(api: Api, parts: Iterable[bytes], seconds: float = 20.0, pause: float = 0.0) -> Exchange:
    """Send parts on a new connection, then read until the server closes it.

    Args:
        api: The API.
        parts: What is sent; sending ends where the server no longer takes it.
        seconds: Limit for each read and write.
        pause: Time between parts.
    """
    begin, sent, received = monotonic(), 0, b""
    with api.connect(seconds) as client:
        try:
            for part in parts:
                client.sendall(part)
                sent += len(part)
                sleep(pause)
        except OSError:
            pass
        is_closed = False
        try:
            while not is_closed:
                data = client.recv(65_536)
                received = (received + data)[-262_144:]
                is_closed = not data
        except TimeoutError:
            pass
        except OSError:
            is_closed = True
    return Exchange(last_status(received), monotonic() - begin, sent, is_closed)


def last_status(received: bytes) -> int | None:
    """Return the status of the last answer in some bytes."""
    _, mark, rest = received.rpartition(b"HTTP/1.1 ")
    return int(rest[:3]) if mark and rest[:3].isdigit() else None
