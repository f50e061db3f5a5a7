"""The protocol over real sockets: order, limits on connections, and clients that do not read."""

import gc
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
from starlette.types import Receive, Scope, Send

from service.api.server.http_limits import HttpLimits
from service.api.server.listener import bind
from service.api.server.ready_answers import PIECE, UNSENT, Ready
from service.api.server.server import Server, server_config

LIMIT = 20.0


class Hub:
    """Has no streams."""

    def close(self) -> None:
        """Nothing to end."""


class State:
    """State of the application below."""

    hub = Hub()


class Application:
    """Answers /N with N bytes, /slow after `release` is set."""

    state = State()

    def __init__(self) -> None:
        self.release = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            return
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        name = scope["path"][1:]
        if name == "slow":
            await anyio.to_thread.run_sync(self.release.wait)
        answer = b"a" * int(name) if name.isdigit() else name.encode() + body
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]}
        )
        await send({"type": "http.response.body", "body": answer})


LARGE = bytes(range(256)) * 40_000
"""The body of /large: more than the system takes for a client that does not read."""


class PreparedApplication(Application):
    """Has the answers to /now and /large ready, and fails to send that to /broken."""

    def __init__(self) -> None:
        super().__init__()
        self.answered_now = self.unsent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what is left of /large in pieces; answer everything else."""
        if UNSENT not in scope:
            await super().__call__(scope, receive, send)
            return
        left = scope[UNSENT]
        self.unsent = len(left)
        while left:
            is_last = len(left) <= PIECE
            await send({"type": "http.response.body", "body": left[:PIECE], "more_body": not is_last})
            left = left[PIECE:]

    def answer_now(self, scope: Scope) -> Ready | None:
        """Return the answer to /now."""
        if scope["path"] == "/broken":
            raise ValueError("planted")
        if scope["path"] == "/large":
            return b"HTTP/1.1 200 OK\r\n", b"content-length: %d\r\n\r\n" % len(LARGE), [LARGE]
        if scope["path"] != "/now":
            return None
        self.answered_now += 1
        return b"HTTP/1.1 200 OK\r\n", b"content-length: 5\r\n\r\n", [b"ready"]


@contextmanager
def running(limits: HttpLimits, application: Application | None = None) -> Iterator[tuple[Application, int, Server]]:
    """Serve an application on loopback; ends as at SIGTERM."""
    application = application or Application()
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        config = server_config(application, limits)
        config.lifespan = "off"
        server = Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield application, port, server
        finally:
            application.release.set()
            server.should_exit = True
            thread.join(LIMIT)
            assert not thread.is_alive()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), LIMIT)


def get(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}\r\n".encode()


def read_all(client: socket.socket) -> bytes:
    received = b""
    while data := client.recv(65_536):
        received += data
    return received


def bodies_of(received: bytes) -> list[bytes]:
    return [part.rpartition(b"\r\n\r\n")[2] for part in received.split(b"HTTP/1.1 200 OK")[1:]]


def test_requests_sent_ahead_are_answered_in_order() -> None:
    with running(HttpLimits()) as (_, port, _), connect(port) as client:
        client.sendall(get("/one") + get("/two") + get("/three", "Connection: close\r\n"))
        assert bodies_of(read_all(client)) == [b"one", b"two", b"three"]


def test_ready_answers_keep_their_place_and_one_behind_another_or_broken_takes_the_long_way() -> None:
    with running(HttpLimits(), PreparedApplication()) as (_, port, _), connect(port) as client:
        client.sendall(get("/now") + get("/one") + get("/now") + get("/broken") + get("/z", "Connection: close\r\n"))
        assert bodies_of(read_all(client)) == [b"ready", b"one", b"now", b"broken", b"z"]


def test_a_client_gets_few_ready_answers_at_once_and_more_in_later_pieces() -> None:
    application = PreparedApplication()
    with running(HttpLimits(pipelined=3), application) as (_, port, _):
        for number in (1, 2):
            with connect(port) as client:
                client.sendall(get("/now") * 40)
                read_all(client)  # closed: too many were sent ahead
            assert application.answered_now == 3 * number
        with connect(port) as client:
            for _ in range(10):
                client.sendall(get("/now"))
                assert client.recv(65_536).endswith(b"ready")
        assert application.answered_now == 16


def test_a_ready_answer_is_written_before_a_later_request_of_its_piece_is_refused() -> None:
    with running(HttpLimits(), PreparedApplication()) as (_, port, _), connect(port) as client:
        client.sendall(get("/now") + get("/now") + b"no request\r\n\r\n")
        received = read_all(client)
    lines = [part.partition(b"\r\n")[0] for part in received.split(b"ready")]
    assert lines == [b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK", b"HTTP/1.1 400 Bad Request"]


def test_a_connection_that_has_ended_is_freed_without_a_garbage_collection() -> None:
    gc.disable()
    try:
        with running(HttpLimits()) as (_, port, server):
            with connect(port) as client:
                client.sendall(get("/one"))
                assert client.recv(1000).startswith(b"HTTP/1.1 200")
                (connection,) = server.server_state.connections
                left = weakref.ref(connection)
                del connection
            deadline = time.monotonic() + LIMIT
            while left() is not None and time.monotonic() < deadline:
                time.sleep(0.01)
            assert left() is None
    finally:
        gc.enable()


def test_a_client_that_sends_ahead_and_does_not_read_leaves_little_in_memory() -> None:
    body = b"x" * 100_000

    class Ahead(PreparedApplication):
        def answer_now(self, scope: Scope) -> Ready | None:
            """Return an answer that is just not large."""
            self.answered_now += 1
            return b"HTTP/1.1 200 OK\r\n", b"content-length: %d\r\n\r\n" % len(body), [body]

    application = Ahead()
    with running(HttpLimits(pipelined=1000), application) as (_, port, _), socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.settimeout(LIMIT)
        client.connect(("127.0.0.1", port))
        client.sendall(get("/now") * 200)
        time.sleep(0.5)
        assert 0 < application.answered_now < 100


def test_a_large_ready_answer_is_whole_and_the_next_one_waits_for_a_client_that_reads_slowly() -> None:
    application = PreparedApplication()
    with running(HttpLimits(), application) as (_, port, _):
        for pause in (0.0, 0.3):
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
                client.settimeout(LIMIT)
                client.connect(("127.0.0.1", port))
                client.sendall(get("/large") + get("/now"))
                time.sleep(pause)
                client.sendall(get("/end", "Connection: close\r\n"))
                first, second, last = bodies_of(read_all(client))
                assert first == LARGE
                assert second in (b"now", b"ready")
                assert last == b"end"
    assert 0 < application.unsent < len(LARGE)


def test_a_client_that_leaves_the_rest_of_a_large_ready_answer_is_cut_off() -> None:
    with running(HttpLimits(write_seconds=0.5), PreparedApplication()) as (_, port, server), connect(port) as client:
        client.sendall(get("/large"))
        deadline = time.monotonic() + LIMIT
        while not server.server_state.connections and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.server_state.connections
        while server.server_state.connections and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not server.server_state.connections
        assert not server.server_state.tasks


def test_a_body_within_the_limit_arrives_whole_in_both_forms() -> None:
    with running(HttpLimits(body_bytes=1000)) as (_, port, _):
        for form in (
            b"Content-Length: 1000\r\n\r\n" + b"b" * 1000,
            b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + b"b" * 1000 + b"\r\n0\r\n\r\n",
        ):
            with connect(port) as client:
                client.sendall(b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + form)
                assert read_all(client).endswith(b"\r\n\r\nx" + b"b" * 1000)


def test_a_byte_too_many_is_413() -> None:
    with running(HttpLimits(body_bytes=1000)) as (_, port, _), connect(port) as client:
        client.sendall(
            b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"b" * 1001
        )
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 413 Content Too Large\r\n")
    assert b'"detail":"the body has more than 1000 bytes; send less","instance":"/x"' in answer


def test_headers_up_to_the_limit_are_accepted_and_one_more_is_431() -> None:
    with running(HttpLimits(headers=10)) as (_, port, _):
        for number, status in ((8, b"200"), (9, b"431")):
            with connect(port) as client:
                client.sendall(get("/x", "Connection: close\r\n" + "X: 1\r\n" * number))
                assert read_all(client)[9:12] == status


def test_a_connection_too_many_is_503_and_the_place_is_free_again_later() -> None:
    with running(HttpLimits(connections_per_address=2)) as (_, port, _):
        with connect(port) as first, connect(port) as second:
            for client in (first, second):
                client.sendall(get("/x"))
                assert client.recv(100).startswith(b"HTTP/1.1 200")
            with connect(port) as third:
                answer = read_all(third)
                assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
                assert b"\r\nRetry-After: 5\r\n" in answer
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            with connect(port) as client:
                client.sendall(get("/x", "Connection: close\r\n"))
                if read_all(client).startswith(b"HTTP/1.1 200"):
                    return
        raise AssertionError("the place was not given back")


def test_clients_that_read_nothing_are_cut_off_by_size_and_by_time() -> None:
    size = 8_000_000
    with running(HttpLimits(unread_bytes=size, write_seconds=0.5)) as (_, port, server):
        with connect(port) as first, connect(port) as second:
            for client in (first, second):
                client.sendall(get(f"/{size}"))
            deadline = time.monotonic() + LIMIT
            while server.server_state.connections and time.monotonic() < deadline:
                time.sleep(0.02)
            assert not server.server_state.connections


def test_a_request_in_work_and_one_on_its_way_are_answered_after_the_signal() -> None:
    with running(HttpLimits()) as (application, port, server):
        with connect(port) as working, connect(port) as idle, connect(port) as fresh:
            idle.sendall(get("/x"))
            received = b""
            while not received.endswith(b"x"):
                received += idle.recv(1000)
            working.sendall(get("/slow"))
            time.sleep(0.2)
            server.should_exit = True
            time.sleep(0.15)  # the server has begun to end
            idle.sendall(get("/y"))
            fresh.sendall(get("/z"))
            application.release.set()
            answers = [read_all(client) for client in (working, idle, fresh)]
    assert [answer[-1:] for answer in answers] == [b"w", b"y", b"z"]
    assert all(b"connection: close" in answer for answer in answers)
