"""Requests are counted and logged by route template; nothing a client sends becomes a label or a line."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.access.keys import NewKey, create_key
from service.api.common.request_id import RequestIds
from service.api.metrics.request_log import RequestLog, RouteRecorder
from service.app import create_app
from service.db.session import Database
from service.settings import Settings
from service.vocabulary import Scope
from tests.support.api.client import TestClient
from tests.support.api.event_stream import listening, served
from tests.support.api.scrape import Scrape
from tests.support.api_process import start_api

COUNT = "tplus_http_requests_total"
ONLY_SQLITE = pytest.mark.parametrize("filled", ["sqlite"], indirect=True)


def counts(text: str) -> dict[tuple[str, ...], float]:
    found = Scrape(text).by(COUNT, "route", "method", "status")
    return {labels: value for labels, value in found.items() if labels[0] != "/metrics"}


@ONLY_SQLITE
def test_requests_are_counted_by_route_template_method_and_status_class(client: TestClient) -> None:
    for path in ("/v1/forecasts/AAPL", "/v1/forecasts/IBM", "/v1/forecasts/ZZZZ", "/v1/runs/none", "/v1/runs/1"):
        client.get(path)
    client.head("/healthz")
    client.post("/v1/status")
    client.request("BREW", "/v1/status")
    client.get("/wp-admin/setup.php?password=hunter2")
    client.get("/static-offline-docs/none.js")
    client.get("/openapi.json")
    assert counts(client.get("/metrics").text) == {
        ("/v1/forecasts/{symbol}", "GET", "2xx"): 2,
        ("/v1/forecasts/{symbol}", "GET", "4xx"): 1,
        ("/v1/runs/{id}", "GET", "4xx"): 1,
        ("/v1/runs/{id}", "GET", "2xx"): 1,
        ("/healthz", "HEAD", "2xx"): 1,
        ("/v1/status", "POST", "4xx"): 1,
        ("/v1/status", "OTHER", "4xx"): 1,
        ("unmatched", "GET", "4xx"): 1,
        ("/static-offline-docs/{path}", "GET", "4xx"): 1,
        ("/openapi.json", "GET", "2xx"): 1,
    }


@ONLY_SQLITE
def test_the_histogram_has_what_the_counter_has(client: TestClient) -> None:
    for _ in range(3):
        client.get("/v1/status")
    scrape = Scrape(client.get("/metrics").text)
    labels = {"route": "/v1/status", "method": "GET", "status": "2xx"}
    name = "tplus_http_request_duration_seconds"
    assert scrape.value(f"{name}_count", **labels) == scrape.value(f"{name}_bucket", le="+Inf", **labels) == 3
    seconds = scrape.value(f"{name}_sum", **labels)
    assert seconds is not None
    assert 0 < seconds < 60
    assert scrape.value("tplus_http_requests_in_progress") == 1  # the scrape itself


@ONLY_SQLITE
def test_hostile_paths_add_no_series(client: TestClient) -> None:
    client.get("/nothing/0")
    client.get("/metrics")  # counts itself from the next scrape on
    before = len(client.get("/metrics").text.splitlines())
    for number in range(200):
        client.get(f"/nothing/{number}")
        client.request(f"VERB{number}", "/nothing")
    after = client.get("/metrics").text.splitlines()
    assert len(after) - before <= 15  # one more series each of counter and histogram: the other method


@ONLY_SQLITE
def test_a_prefix_of_a_proxy_is_no_part_of_the_route(filled: Database) -> None:
    with TestClient(create_app(Settings(root_path="/tplus"), filled)) as client:
        client.get("/tplus/v1/status")
        client.get("/v1/status")
        assert counts(client.get("/metrics").text) == {("/v1/status", "GET", "2xx"): 2}


@ONLY_SQLITE
def test_a_defect_counts_as_500(filled: Database, capfd: pytest.CaptureFixture[str]) -> None:
    app = create_app(Settings(access_log=False), filled)

    @app.get("/broken/{part}")
    def broken(part: str) -> None:
        raise KeyError(part)

    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/broken/x").status_code == 500
        assert counts(client.get("/metrics").text) == {("/broken/{part}", "GET", "5xx"): 1}


@ONLY_SQLITE
def test_an_event_stream_counts_until_its_start_and_is_in_progress_until_its_end(filled: Database) -> None:
    with served(create_app(Settings(access_log=False), filled)) as url:
        with listening(url) as stream:
            stream.next()
            assert Scrape(httpx.get(f"{url}/metrics").text).value("tplus_http_requests_in_progress") == 2
        deadline = threading.Event()
        for _ in range(200):
            scrape = Scrape(httpx.get(f"{url}/metrics").text)
            if scrape.value("tplus_http_requests_in_progress") == 1:
                break
            deadline.wait(0.05)
        assert scrape.value(COUNT, route="/v1/events") == 1
        seconds = scrape.value("tplus_http_request_duration_seconds_sum", route="/v1/events")
        assert seconds is not None
        assert seconds < 5


def test_a_request_whose_client_left_before_the_answer_counts_as_aborted() -> None:
    app, seen = FastAPI(), []

    class Metrics:
        def begin(self) -> None: ...

        def end(self, *values: Any) -> None:
            seen.append(values[:3])

    @app.get("/slow")
    async def slow() -> None:
        raise ConnectionAbortedError  # what a cancelled request raises inside

    async def leaves(scope: Any, receive: Any, send: Any) -> None:
        return  # nothing was sent

    log = RequestLog(leaves, Metrics(), is_logged=False)  # type: ignore[arg-type]
    import asyncio

    asyncio.run(log({"type": "http", "method": "GET", "path": "/slow"}, None, None))  # type: ignore[arg-type]
    assert seen == [("unmatched", "GET", None)]


@contextmanager
def running(file: Path, **settings: str) -> Iterator[tuple[httpx.Client, Path, "subprocess.Popen[str]"]]:
    """Run the API over a file with the access log; yields a client, the log and the process."""
    log = file.parent / "api.log"
    with log.open("w") as target:
        chosen = {f"TPLUS_{name}": value for name, value in {"ACCESS_LOG": "true", **settings}.items()}
        process = start_api(file, stderr=target, settings=chosen)
    try:
        assert process.stdout is not None
        with httpx.Client(base_url=json.loads(process.stdout.readline())["url"], timeout=30) as client:
            yield client, log, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.fixture
def file(filled_file: Path, tmp_path: Path) -> Path:
    target = tmp_path / "filled.db"
    target.write_bytes(filled_file.read_bytes())
    return target


def test_each_request_is_one_line_of_json_without_what_the_client_sent(file: Path) -> None:
    secret = {
        "Authorization": "Bearer tplus_0123456789abcdefghijklmnopqrstuvwxyzABCD",  # audit: planted
        "Cookie": "session=hunter2",
    }
    with running(file) as (client, log, _):
        client.get("/v1/forecasts/AAPL?as_of=2018-06-01", headers={**secret, "X-Request-ID": "mine-1"})
        client.get("/secret-path?password=hunter2", headers=secret)
    found = lines(log)
    assert [line["event"] for line in found] == ["request", "request"]
    first, second = found
    assert set(first) == {
        "event", "level", "timestamp", "request_id", "method", "route", "status", "seconds", "client", "key"
    }  # fmt: skip
    assert (first["request_id"], first["method"], first["route"]) == ("mine-1", "GET", "/v1/forecasts/{symbol}")
    assert (first["status"], first["client"], first["key"], first["level"]) == (401, "127.0.0.1", None, "info")
    assert (second["route"], second["status"]) == ("unmatched", 404)
    text = log.read_text()
    assert [word for word in ("hunter2", "tplus_0123", "secret-path", "AAPL") if word in text] == []


def test_the_access_log_can_be_turned_off(file: Path) -> None:
    with running(file, ACCESS_LOG="false") as (client, log, _):
        client.get("/v1/status")
        assert counts(client.get("/metrics").text) == {("/v1/status", "GET", "2xx"): 1}
    assert log.read_text() == ""


def test_a_line_inside_a_request_has_its_id(file: Path) -> None:
    with running(file, ACCESS_LOG="false") as (client, log, _):
        os.truncate(file, 0)
        answer = client.get("/v1/runs", headers={"X-Request-ID": "mine-2"})
        assert answer.status_code == 503
    found = lines(log)
    assert found
    assert {(line["request_id"], line["level"]) for line in found} == {("mine-2", "warning")}


def test_the_recorder_without_a_record_changes_nothing() -> None:
    app = FastAPI()
    app.add_middleware(RouteRecorder)
    app.add_middleware(RequestIds)

    @app.get("/x")
    def x() -> str:
        return "x"

    with TestClient(app) as client:
        assert client.get("/x").json() == "x"


def test_the_access_log_names_the_key_and_never_shows_it(file: Path) -> None:
    database = Database(f"sqlite:///{file}")
    with database.transaction() as connection:
        _, token = create_key(connection, NewKey("robot", frozenset({Scope.READ})), datetime(2026, 1, 1, tzinfo=UTC))
    database.close()
    with running(file, OPEN_READS="false") as (client, log, _):
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        assert client.get("/metrics", headers={"Authorization": f"Bearer {token}x"}).status_code == 401
        assert client.get("/healthz").status_code == 200
    assert [(line["route"], line["status"], line["key"]) for line in lines(log)] == [
        ("/metrics", 401, None),
        ("/metrics", 200, "robot"),
        ("/metrics", 401, None),
        ("/healthz", 200, None),
    ]
    assert token not in log.read_text()
