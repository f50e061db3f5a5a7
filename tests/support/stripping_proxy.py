"""A small reverse proxy on loopback that publishes a server below a path, which it strips."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@contextmanager
def proxied(target: str, prefix: str) -> Iterator[str]:
    """Publish a server below a path during the block; yields the address of its root there.

    Args:
        target: URL of the server.
        prefix: Path that clients use, and that the server does not see, such as `/tplus`.
    """
    address = urlsplit(target)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.removeprefix(prefix)
            if path == self.path or not path.startswith(("/", "?")):
                self.send_error(404, "not below the prefix")
                return
            server = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
            try:
                self._pass_on(server, path)
            except OSError:
                self.close_connection = True  # the client, or the server, is gone
            finally:
                server.close()

        do_HEAD = do_GET

        def _pass_on(self, server: http.client.HTTPConnection, path: str) -> None:
            server.request(self.command, path, headers=dict(self.headers.items()))
            answer = server.getresponse()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            while part := answer.read1():
                self.wfile.write(part)
                self.wfile.flush()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}{prefix}"
        finally:
            server.shutdown()
            thread.join()
