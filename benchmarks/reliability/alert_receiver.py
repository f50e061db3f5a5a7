"""A receiver of webhooks on loopback that misbehaves as its path says."""

import json
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """A request that a receiver took.

    Attributes:
        path: Its path.
        headers: Its headers, names in lower case.
        body: Its body.
    """

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The `webhook-id`."""
        return self.headers["webhook-id"]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of the body."""
        events: list[dict[str, Any]] = json.loads(self.body)["data"]["events"]
        return events


@dataclass
class Receiver:
    """What a receiver has taken, and what it has answered with 2xx."""

    port: int = 0
    requests: list[Received] = field(default_factory=list)
    accepted: list[Received] = field(default_factory=list)
    connections: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    tries: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def url(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        """Return the URL of a path."""
        return f"{scheme}://{host}:{self.port}/{path}"

    def ids(self, path: str) -> list[str]:
        """Return the ids accepted on a path, each once, in the order of their first arrival."""
        with self.lock:
            return list(dict.fromkeys(each.id for each in self.accepted if each.path == f"/{path}"))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    receiver: Receiver

    def get_request(self) -> Any:
        self.receiver.connections += 1
        return super().get_request()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: clients that are killed end their connections."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        receiver = self.server.receiver
        request = Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        with receiver.lock:
            receiver.requests.append(request)
            number = receiver.tries[request.headers.get("webhook-id", "")] = (
                receiver.tries[request.headers.get("webhook-id", "")] + 1
            )
        self.close_connection = True
        getattr(self, f"_answer_{self.path.strip('/').split('/')[0]}", self._answer_ok)(request, number)

    do_GET = do_POST

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def _accept(self, request: Received) -> None:
        with self.server.receiver.lock:
            self.server.receiver.accepted.append(request)

    def _write(self, status: int, body: bytes = b"", extra: str = "") -> None:
        head = f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\n{extra}Connection: close\r\n\r\n"
        self.wfile.write(head.encode() + body)
        self.wfile.flush()

    def _answer_ok(self, request: Received, _number: int) -> None:
        self._accept(request)
        self._write(200, b"{}")

    def _answer_failing(self, request: Received, number: int) -> None:
        """Answer 500 twice, then 200."""
        if number <= 2:
            self._write(500, b"not now")
            return
        self._answer_ok(request, number)

    def _answer_broken(self, _request: Received, _number: int) -> None:
        self._write(500, b"never")

    def _answer_gone(self, _request: Received, _number: int) -> None:
        self._write(410)

    def _answer_redirect(self, _request: Received, _number: int) -> None:
        self._write(307, extra=f"Location: http://127.0.0.1:{self.server.receiver.port}/ok\r\n")

    def _answer_twice(self, request: Received, _number: int) -> None:
        """Write two answers to one request."""
        self._accept(request)
        self._write(200, b"one")
        self._write(500, b"two")

    def _answer_slow(self, request: Received, number: int) -> None:
        """Send one byte at a time, beyond the limit of time; from the third attempt on answer at once."""
        if number > 2:
            self._answer_ok(request, number)
            return
        for byte in b"HTTP/1.1 200 slow":
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(0.2)

    def _answer_endless(self, request: Received, _number: int) -> None:
        """Answer 200 with a body that does not end."""
        self._accept(request)
        self.wfile.write(b"HTTP/1.1 200 x\r\nConnection: close\r\n\r\n")
        for _ in range(2_000):
            self.wfile.write(b"x" * 65_536)

    def _answer_headers(self, _request: Received, _number: int) -> None:
        """Answer with headers that do not end."""
        self.wfile.write(b"HTTP/1.1 200 x\r\n")
        for number in range(200_000):
            self.wfile.write(f"X-{number}: {'x' * 50}\r\n".encode())


@contextmanager
def running(receiver: Receiver | None = None, context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Run a receiver for a block.

    Args:
        receiver: Where it notes what it takes, and its port; None = a new one on a free port.
        context: TLS; None = plain http.
    """
    noted = Receiver() if receiver is None else receiver
    server = _Server(("127.0.0.1", noted.port), _Handler)
    server.receiver = noted
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    noted.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield noted
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
