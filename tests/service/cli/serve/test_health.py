"""`tplus health`: exit status 0 for a healthy part, else 1, each with a message."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from sqlalchemy import insert

from service.clock import process_now
from service.db.session import Database
from service.db.tables import schedulers
from service.scheduler.liveness import heartbeat_age
from tests.support.command import LIMIT
from tests.support.command_server import command_server
from tests.support.paths import ROOT

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def beat(database: Database, identity: str, name: str, at: datetime) -> None:
    with database.transaction() as connection:
        row = {"id": identity, "name": name, "heartbeat_at": at, "lease_until": None, "token": 0}
        connection.execute(insert(schedulers).values(row))


def health(part: str, *options: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TPLUS_")}
    environment |= {f"TPLUS_{name}": value for name, value in variables.items()}
    status, out, error = command_server().run(("health", part, *options), environment, ROOT, LIMIT)
    return subprocess.CompletedProcess([], status, out, error)


def test_the_age_is_that_of_the_newest_heartbeat_of_a_host(database: Database) -> None:
    beat(database, "a", "one:7", NOON - timedelta(seconds=90))
    beat(database, "b", "one:8", NOON - timedelta(seconds=4))
    beat(database, "c", "one_:9", NOON)
    with database.reading() as connection:
        assert heartbeat_age(connection, NOON, "one") == timedelta(seconds=4)
        assert heartbeat_age(connection, NOON, "one_") == heartbeat_age(connection, NOON) == timedelta(0)
        assert heartbeat_age(connection, NOON, "on_") is None


def test_a_scheduler_with_a_recent_heartbeat_is_healthy(database: Database) -> None:
    beat(database, "a", f"{socket.gethostname()}:7", process_now())
    done = health("scheduler", DATABASE_URL=database.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"heartbeat of a scheduler of this host ({socket.gethostname()}) ")


def test_a_scheduler_of_another_host_does_not_count(database: Database) -> None:
    beat(database, "a", "elsewhere:7", process_now())
    done = health("scheduler", DATABASE_URL=database.url)
    assert done.returncode == 1
    assert "has ever used this database; start one with `tplus schedule`" in done.stderr
    assert health("scheduler", "--anywhere", DATABASE_URL=database.url).returncode == 0


def test_a_scheduler_without_a_recent_heartbeat_is_unhealthy(database: Database) -> None:
    beat(database, "a", f"{socket.gethostname()}:7", process_now() - timedelta(seconds=61))
    done = health("scheduler", DATABASE_URL=database.url, LEASE_SECONDS="60")
    assert (done.returncode, done.stdout) == (1, "")
    assert "s old, older than its lease of 60 s; see its log, or restart it" in done.stderr
    assert health("scheduler", DATABASE_URL=database.url, LEASE_SECONDS="600").returncode == 0


def test_an_empty_or_unreachable_database_is_reported(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        gone = f"postgresql://me:hidden@127.0.0.1:{probe.getsockname()[1]}/x"
        for url in (f"sqlite:///{tmp_path / 'empty.db'}", gone):
            done = health("scheduler", DATABASE_URL=url)
            assert done.returncode == 1
            assert "cannot be read; start it, check TPLUS_DATABASE_URL, or run `tplus db upgrade`" in done.stderr
            assert "hidden" not in done.stderr
            assert done.stderr.count("\n") == 1


@contextmanager
def server(status: int, body: bytes) -> Iterator[int]:
    """Serve one answer to every GET; yields the port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield listening.server_port
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_ready_api_is_healthy(host: str) -> None:
    with server(200, b"{}") as port:
        done = health("api", HOST=host, PORT=str(port))
    assert (done.returncode, done.stdout) == (0, f"the API on 127.0.0.1 port {port} is ready\n")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (json.dumps({"detail": "the database is away"}).encode(), "the database is away"),
        (b"[1]", "it answers 503"),
        (b"<html>", "it answers 503"),
    ],
)
def test_an_api_that_is_not_ready_is_reported_with_its_reason(body: bytes, message: str) -> None:
    with server(503, body) as port:
        done = health("api", PORT=str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"tplus: the API on 127.0.0.1 port {port} is not ready: {message}\n"


def test_a_missing_api_is_reported() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        done = health("api", PORT=str(probe.getsockname()[1]))
    assert done.returncode == 1
    assert "does not answer ([Errno 111] Connection refused); start it with `tplus serve` or see its log" in done.stderr


def test_a_check_imports_few_modules() -> None:
    # It runs every few seconds next to the service, within the container's memory limit.
    code = "import service.cli.main, service.cli.serve.health, sys; sys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name.split(".")[0] for name in done.stdout.split()} & {"pandas", "numpy", "fastapi", "alembic"} == set()
