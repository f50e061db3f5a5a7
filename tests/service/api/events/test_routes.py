"""GET /v1/events over real HTTP: changes by other processes arrive, also after faults."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import fastapi.routing
import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy import event
from sqlalchemy.engine import make_url

from service.app import create_app
from service.db.migrate import upgrade
from service.db.session import Database
from service.settings import Settings
from tests.support.api.event_stream import EventStream, listening, served
from tests.support.api.ledger_factory import FRIDAY, Publish, at, fill, publish
from tests.support.command import wait_for
from tests.support.paths import ROOT

PUBLISHER = """
import sys
from service.db.session import Database
from tests.support.api.ledger_factory import FRIDAY, Publish, at, publish
database = Database(sys.argv[1])
sys.stdin.readline()
with database.transaction() as connection:
    publish(connection, Publish(4, FRIDAY, at(FRIDAY, 23), revision=2))
print("published", flush=True)
"""


@pytest.fixture
def app(filled: Database) -> FastAPI:
    return create_app(Settings(), filled)


@pytest.fixture
def url(app: FastAPI) -> Iterator[str]:
    with served(app) as address:
        yield address


def add_edition(database: Database, number: int, revision: int = 2) -> None:
    with database.transaction() as connection:
        publish(connection, Publish(number, FRIDAY, at(FRIDAY, 23), revision=revision))


def test_a_stream_begins_with_the_time_to_retry_and_the_status(url: str) -> None:
    with listening(url) as stream:
        first = stream.next()
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.headers["cache-control"] == "no-cache"
    assert stream.headers["x-accel-buffering"] == "no"
    assert stream.retry == "2000"
    assert (first.kind, first.id) == ("status", "4")
    assert (first.data["edition"]["number"], first.data["now"]) == (3, "2018-06-02T00:00:00Z")


def test_an_edition_of_another_process_arrives_within_three_seconds(url: str, filled: Database) -> None:
    command = [sys.executable, "-c", PUBLISHER, filled.url]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other, listening(url) as stream:  # fmt: skip
        assert stream.next().kind == "status"
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write("go\n")
        other.stdin.flush()
        assert other.stdout.readline() == "published\n"
        begin = time.monotonic()
        edition = stream.first("edition")
        assert time.monotonic() - begin < 3.0
        assert edition.data == {
            "number": 4,
            "calendar": "XNYS",
            "as_of": "2018-06-01",
            "issued_at": "2018-06-01T23:00:00Z",
            "mode": "replay",
        }
        assert stream.first("change").data == {"counter": 5, "symbols": ["AAPL"]}
        assert stream.first("status").data["edition"]["number"] == 4
        assert other.wait(20) == 0


def test_a_client_that_reconnects_receives_the_change_it_missed(url: str, filled: Database) -> None:
    with listening(url) as stream:
        seen = stream.next().id
    add_edition(filled, 4)
    with listening(url, seen) as stream:
        assert stream.next().kind == "status"
        change = stream.next()
        assert (change.kind, change.id, change.data) == ("change", "5", {"counter": 5, "symbols": None})


def test_a_client_that_missed_nothing_receives_only_news(url: str, filled: Database) -> None:
    with listening(url, 4) as stream:
        assert stream.next().kind == "status"
        add_edition(filled, 4)
        assert stream.first("change").data == {"counter": 5, "symbols": ["AAPL"]}


@pytest.mark.parametrize("event_id", ["9", "unknown"])
def test_an_unknown_event_id_counts_as_behind(url: str, event_id: str) -> None:
    with listening(url, event_id) as stream:
        assert stream.next().kind == "status"
        assert stream.next().data == {"counter": 4, "symbols": None}


def test_fifty_clients_share_one_poll_and_no_client_means_no_poll(url: str, app: FastAPI, filled: Database) -> None:
    polls: list[float] = []
    event.listen(filled.engine, "begin", lambda _connection: polls.append(time.monotonic()))
    with ExitStack() as stack:
        streams = [stack.enter_context(listening(url)) for _ in range(50)]
        assert {stream.next().kind for stream in streams} == {"status"}
        begin = time.monotonic()
        polls.clear()
        for number in (4, 5, 6):
            add_edition(filled, number, number)
            assert {stream.first("edition").data["number"] for stream in streams} == {number}
        # One poll a second, and the three publications of this test.
        assert len(polls) <= time.monotonic() - begin + 2 + 3
    wait_for(lambda: app.state.hub._task is None)


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
def test_the_stream_survives_a_missing_database_file(url: str, filled: Database) -> None:
    path = Path(str(filled.engine.url.database))
    with listening(url) as stream:
        assert stream.next().kind == "status"
        aside = path.rename(path.with_suffix(".aside"))
        path.mkdir()
        filled.engine.dispose()
        fault = stream.first("fault")
        assert fault.id is None
        assert "cannot be reached" in fault.data["detail"]
        with listening(url, 3) as second:
            assert second.next().kind == "fault"
            path.rmdir()
            aside.rename(path)
            assert second.first("status").data["counter"] == 4
            assert second.next().data == {"counter": 4, "symbols": None}
        assert stream.first("status").data["edition"]["number"] == 3
        add_edition(filled, 4)
        assert stream.first("edition").data["number"] == 4


@pytest.mark.parametrize("filled", ["postgresql"], indirect=True)
def test_the_stream_survives_a_server_that_refuses_connections(url: str, filled: Database) -> None:
    name = filled.engine.url.database
    admin = make_url(filled.url).set(drivername="postgresql", database="postgres")

    def allow(allowed: bool) -> None:
        with psycopg.connect(admin.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {allowed}'.encode())
            if not allowed:
                connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))

    with listening(url) as stream:
        assert stream.next().kind == "status"
        allow(False)
        try:
            assert "cannot be reached" in stream.first("fault").data["detail"]
        finally:
            allow(True)
        assert stream.first("status").data["edition"]["number"] == 3


def test_a_database_that_is_set_up_later_is_read(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'later.db'}")
    with served(create_app(Settings(data_dir=tmp_path), database)) as url, listening(url) as stream:
        first = stream.next()
        assert (first.kind, first.data["notice_kind"]) == ("status", "empty")
        assert "has no tables yet" in first.data["notice"]
        upgrade(database)
        assert "the database is empty" in stream.first("status").data["notice"]
        fill(database)
        assert [stream.first("edition").data["number"] for _ in range(3)] == [1, 2, 3]
        assert stream.first("change").data["symbols"] == ["AAPL", "BTC-USD", "IBM"]
        assert stream.first("status").data["notice_kind"] is None
    database.close()


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
def test_a_quiet_stream_is_kept_open_by_comments(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fastapi.routing._PING_INTERVAL == 15.0
    monkeypatch.setattr(fastapi.routing, "_PING_INTERVAL", 0.05)
    with listening(url) as stream:
        assert stream.next().kind == "status"
        assert next(line for line in stream._lines if line.startswith(":")) == ": ping"


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
def test_streams_end_with_the_application(app: FastAPI) -> None:
    with ExitStack() as stack:
        with served(app) as url:
            streams = [stack.enter_context(listening(url)) for _ in range(3)]
            assert {stream.next().kind for stream in streams} == {"status"}
            begin = time.monotonic()
        assert time.monotonic() - begin < 2.0
        assert [_ended(stream) for stream in streams] == [True] * 3


def _ended(stream: EventStream) -> bool:
    try:
        stream.next()
    except EOFError:
        return True
    return False
