"""A port of its own for the metrics, so that Prometheus needs no key of the API."""

import errno
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog
from prometheus_client import make_wsgi_app

from service.api.metrics.exposition import Metrics
from service.errors import PortInUse
from service.settings import Settings

_log = structlog.get_logger(__name__)

_CLIENT_SECONDS = 5.0
"""Limit for a client that sends or receives nothing."""
_MAX_CLIENTS = 8
"""Most connections at a time; more are closed at once."""


class _Handler(WSGIRequestHandler):
    timeout = _CLIENT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a scrape every few seconds says nothing new."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._free = threading.BoundedSemaphore(_MAX_CLIENTS)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without looking the host's name up, which may wait for a name server."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, or close the connection if there are too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and free the place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library's signature
        """Ignore a client that left or was too slow; log anything else."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            _log.error("metrics could not be served", exc_info=error)


@contextmanager
def metrics_port(settings: Settings, metrics: Metrics) -> Iterator[int | None]:
    """Serve the metrics on `TPLUS_METRICS_PORT` for a block; yields the port, None if it is not set.

    With several workers the parent process does this alone.

    Raises:
        PortInUse: the address cannot be used.
    """
    if settings.metrics_port is None:
        yield None
        return
    host, port = settings.metrics_host, settings.metrics_port
    try:
        server = _Server((host, port))
    except OSError as error:
        reason = "is in use; stop the other program" if error.errno == errno.EADDRINUSE else f"fails: {error.strerror}"
        raise PortInUse(
            f"port {port} on {host} for the metrics {reason}, or set TPLUS_METRICS_PORT and TPLUS_METRICS_HOST"
        ) from error
    server.set_app(make_wsgi_app(metrics.registry))
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
