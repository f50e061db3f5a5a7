"""Work of clients that left: what waits is dropped, and a running query is cancelled in both databases."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import anyio
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from service.api.limits.work import ClientLeft, Work
from service.app import Server, bind, create_app, server_config
from service.db.session import Database
from service.settings import Settings
from tests.support.api.event_stream import served

SLOW = {
    True: "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT max(i) FROM n",
    False: "SELECT pg_sleep(60)",
}
"""A query of a minute, on SQLite and PostgreSQL."""


class Observed:
    """What a slow route met.

    Attributes:
        started: Set when the query runs.
        ended: Set when it has ended.
        errors: How.
        calls: Calls of the route.
    """

    def __init__(self) -> None:
        self.started, self.ended = threading.Event(), threading.Event()
        self.errors: list[str] = []
        self.calls = 0


@pytest.fixture
def observed() -> Observed:
    return Observed()


@pytest.fixture
def app(filled: Database, observed: Observed) -> FastAPI:
    made = create_app(Settings(), filled)

    @made.get("/slow")
    def slow() -> str:
        observed.calls += 1
        try:
            with made.state.reader.snapshot() as snapshot:
                observed.started.set()
                snapshot.connection.execute(text(SLOW[filled.is_sqlite]))
        except OperationalError as error:
            observed.errors.append(str(error.orig))
            raise
        finally:
            observed.ended.set()
        return "ended"

    return made


@contextmanager
def client_of(url: str) -> Iterator[socket.socket]:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 20) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        yield client


def test_a_running_query_is_cancelled_and_its_connection_serves_others(
    app: FastAPI, observed: Observed, filled: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with served(app) as url:
        with client_of(url):
            assert observed.started.wait(20)
            time.sleep(0.2)  # the query begins right after the event
        assert observed.ended.wait(20)
    assert len(observed.errors) == 1
    assert "interrupt" in observed.errors[0] or "cancel" in observed.errors[0]
    with filled.reading() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    assert [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
def test_a_client_that_leaves_before_the_query_begins_causes_no_error(
    filled: Database, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(Settings(), filled)
    entered, leave, ended = threading.Event(), threading.Event(), threading.Event()

    @app.get("/slow")
    def slow() -> None:
        entered.set()
        leave.wait(20)
        try:
            with app.state.reader.snapshot():
                pytest.fail("the query began")
        finally:
            ended.set()

    with served(app) as url:
        with client_of(url):
            assert entered.wait(20)
        time.sleep(0.2)  # the server sees that it left
        leave.set()
        assert ended.wait(20)
    assert [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
def test_a_request_that_waits_for_a_thread_never_starts(app: FastAPI, observed: Observed) -> None:
    busy, free = threading.Event(), threading.Event()

    @app.get("/busy")
    def hold() -> None:
        busy.set()
        free.wait(20)

    @app.get("/one-thread")
    async def one_thread() -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 1

    with served(app) as url:
        host, port = url.removeprefix("http://").split(":")

        def send(path: str) -> socket.socket:
            client = socket.create_connection((host, int(port)), 20)
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            return client

        with send("/one-thread") as first:
            assert first.recv(100).startswith(b"HTTP/1.1 200")
        with send("/busy") as holding:
            assert busy.wait(20)
            with client_of(url):
                time.sleep(0.2)  # it waits for the thread
            time.sleep(0.2)  # the server sees that it left
            free.set()
            assert holding.recv(100).startswith(b"HTTP/1.1 200")
        with send("/healthz") as last:
            assert last.recv(100).startswith(b"HTTP/1.1 200")
    assert observed.calls == 0


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
def test_no_query_begins_after_the_client_left(filled: Database) -> None:
    work = Work()
    work.cancel()
    with filled.reading() as connection, pytest.raises(ClientLeft), work.using(connection):
        pytest.fail("the block ran")


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
def test_a_request_that_the_server_no_longer_waits_for_gets_503(filled: Database) -> None:
    app = create_app(Settings(), filled)
    entered = threading.Event()

    @app.get("/slow")
    async def slow() -> None:
        entered.set()
        await anyio.sleep_forever()

    with ExitStack() as stack:
        with bind("127.0.0.1", 0) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            config = server_config(app)
            config.timeout_graceful_shutdown = 0  # instead of the usual limit
            server = Server(config)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            while not server.started:
                time.sleep(0.01)
            client = stack.enter_context(client_of(url))
            assert entered.wait(20)
            server.should_exit = True
            received = b""
            while data := client.recv(65_536):
                received += data
            thread.join(20)
    assert received.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"retry-after: 30" in received
    assert b"the service is stopping; try again later" in received
