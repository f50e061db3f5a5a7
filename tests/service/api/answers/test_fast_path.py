"""The fast path answers as the routes do, byte by byte and header by header, and refuses nothing by itself."""

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from prometheus_client import generate_latest
from sqlalchemy import text, update

from service.access.keys import find_key, revoke_key
from service.api.access import authenticate
from service.api.answers import fast_path, watch
from service.api.answers.database_state import StateReader
from service.api.answers.fast_path import FastPath, Parts
from service.api.answers.forecast_loader import ForecastLoader
from service.api.common.dependencies import Reader, Snapshot
from service.api.server.ready_answers import UNSENT
from service.app import create_app, create_server_app
from service.clock import process_now
from service.db.change_counters import raise_changes
from service.db.session import Database
from service.db.tables import instruments, market_clock
from service.settings import Settings
from service.vocabulary import Scope
from tests.support.api.keys import CREATED, authorization
from tests.support.api.ledger_factory import FRIDAY, NOW, Publish, at, move_clock, publish

SETTINGS = Settings(open_reads=False, rate_limit="1000/minute", access_log=False)
Headers = list[tuple[bytes, bytes]]


@dataclass
class Answered:
    """An answer of an ASGI application; `now` = without a call of the application."""

    status: int
    headers: Headers
    body: bytes
    now: bool = False

    def plain(self) -> tuple[int, Headers, bytes]:
        """Return it without what no two requests share: when the rate limit's window ends."""
        kept = [(name, value.partition(b";t=")[0] if name == b"ratelimit" else value) for name, value in self.headers]
        return self.status, kept, self.body


class Service:
    """A fast path, and the application with the routes alone, over one database.

    Args:
        database: The database.
        settings: Settings of both.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self.runner = asyncio.Runner()
        self.fast = create_server_app(settings, database)
        self.slow = create_app(settings, database)
        self.read = authorization(database, Scope.READ, name="reader")
        self.run = authorization(database, Scope.RUN, name="runner")

    def ask(self, app: Any, target: str, headers: Headers) -> Answered:
        """Return an application's answer; `answer_now` of a fast path is called first, as by the server."""
        path, _, query = target.partition("?")
        scope: dict[str, Any] = {
            "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": path, "root_path": "",
            "raw_path": path.encode(), "query_string": query.encode(), "headers": headers, "state": {},
            "client": ("192.0.2.1", 40_000), "server": ("127.0.0.1", 80),
        }  # fmt: skip

        async def call() -> Answered:
            ready = app.answer_now(scope) if isinstance(app, FastPath) else None
            if ready is not None:
                head, body = ready[1].removesuffix(b"\r\n\r\n"), b"".join(ready[2])
                pairs = [(name, value) for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n"))]
                return Answered(int(ready[0].split()[1]), pairs, body, now=True)
            sent: list[Any] = []

            async def send(message: Any) -> None:
                sent.append(message)

            async def receive() -> Any:
                return {"type": "http.request", "body": b"", "more_body": False}

            await app(scope, receive, send)
            return Answered(sent[0]["status"], sent[0]["headers"], b"".join(each["body"] for each in sent[1:]))

        return self.runner.run(call())

    def get(self, target: str, **headers: str) -> Answered:
        """Return the fast path's answer to a plain request."""
        return self.ask(self.fast, target, plain_headers(self.read, **headers))


def plain_headers(authorized: dict[str, str], **more: str) -> Headers:
    """Return headers of a request, names with _ for -."""
    given = {"host": "127.0.0.1", **{name.lower(): value for name, value in authorized.items()}}
    given |= {name.replace("_", "-"): value for name, value in more.items()}
    return [(name.encode(), value.encode("latin-1")) for name, value in given.items()]


@pytest.fixture
def service(filled_file: Path, tmp_path: Path) -> Iterator[Service]:
    database = Database(f"sqlite:///{shutil.copy(filled_file, tmp_path / 'filled.db')}")
    opened = Service(database, SETTINGS)
    yield opened
    opened.fast.state.authenticator.close()
    opened.slow.state.authenticator.close()
    opened.runner.close()
    database.close()


TARGETS = st.sampled_from(
    [
        "/v1/forecasts/AAPL", "/v1/forecasts/aapl", "/v1/forecasts/IBM", "/v1/forecasts/MSFT", "/v1/forecasts/ZZZZ",
        "/v1/forecasts/AAPL?as_of=2018-05-31", "/v1/forecasts/AAPL?known_at=2018-06-01T00:00:00Z",
        "/v1/forecasts/AAPL?fields=symbol,known_at", "/v1/forecasts/AAPL?fields=nothing", "/v1/forecasts/AAPL?x=1",
        "/v1/forecasts/AAPL?format=csv", "/v1/forecasts/AAPL/history", "/v1/forecasts", "/v1/forecasts?limit=1",
        "/v1/forecasts?symbols=AAPL,BTC-USD", "/v1/forecasts?symbols=AAPL,ZZZZ", "/v1/watchlist", "/v1/watchlist?q=app",
        "/v1/watchlist?sort=change&order=desc&limit=1", "/v1/watchlist?fields=symbol,steps.point", "/v1/watchlists",
    ]
)  # fmt: skip
EXTRAS = st.lists(
    st.sampled_from(
        [
            ("accept", "application/json"), ("accept", "text/csv"), ("accept", "*/*"), ("if-none-match", '"x"'),
            ("if-none-match", "OWN"), ("if-none-match", '"y", OWN'), ("cookie", "tplus_session=x"), ("origin", "null"),
            ("host", "evil.example"), ("host", "localhost:8000"), ("x-forwarded-for", "198.51.100.7"),
            ("content-length", "0"), ("range", "bytes=0-1"), ("x-request-id", "bad id"),
        ]
    ),
    max_size=3,
)  # fmt: skip


@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(target=TARGETS, extras=EXTRAS, who=st.sampled_from(["read", "run", "none", "wrong", "basic"]))
def test_the_fast_path_answers_as_the_routes_do(
    service: Service, target: str, extras: list[tuple[str, str]], who: str
) -> None:
    keys = {
        "read": service.read,
        "run": service.run,
        "none": {},
        "wrong": {"Authorization": f"Bearer tplus_{'x' * 43}"},
    }
    authorized = keys.get(who, {"Authorization": "Basic YTpi"})
    first = dict(service.ask(service.slow, target, plain_headers(service.read)).headers)
    service.ask(service.fast, target, plain_headers(service.read))  # both have counted the same
    headers = plain_headers(authorized, x_request_id="trial-1")
    for name, value in extras:
        tag = first.get(b"etag", b'"none"').decode()
        headers = [pair for pair in headers if name != "host" or pair[0] != b"host"]
        headers.append((name.encode(), value.replace("OWN", tag).encode()))
    for _ in range(2):  # the second time it is kept
        fast, slow = service.ask(service.fast, target, headers), service.ask(service.slow, target, headers)
        if ("x-request-id", "bad id") in extras or fast.status == 421:
            fast.headers = slow.headers = []
            fast.body = slow.body = b""
        assert fast.plain() == slow.plain()


def test_plain_reads_are_answered_without_a_call_of_the_application(service: Service) -> None:
    for target in ("/v1/forecasts/AAPL", "/v1/forecasts?limit=1", "/v1/watchlist", "/v1/forecasts/AAPL?fields=symbol"):
        assert [service.get(target).now for _ in range(3)][-1]
        assert service.get(target, if_none_match=dict(service.get(target).headers)[b"etag"].decode()).status == 304


def test_an_answer_says_the_time_of_its_state(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    first = json.loads(service.get("/v1/forecasts/AAPL").body)
    assert first["known_at"] == "2018-06-02T00:00:00Z"
    move_clock(service.fast.state.reader.database, NOW + timedelta(minutes=1))
    monkeypatch.setattr(watch, "KEPT_SECONDS", 0.0)  # a second passes
    service.get("/v1/forecasts/AAPL")
    monkeypatch.undo()
    later = service.get("/v1/forecasts/AAPL")
    assert later.now
    assert json.loads(later.body) == {**first, "known_at": "2018-06-02T00:01:00Z"}


def test_an_answer_counts_the_seconds_to_the_next_edition(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    next_move_at = process_now() + timedelta(hours=1)
    with service.fast.state.reader.database.transaction() as connection:
        connection.execute(update(market_clock).values(next_move_at=next_move_at))
    first = json.loads(service.get("/v1/forecasts/AAPL").body)
    with monkeypatch.context() as later:
        later.setattr(watch, "KEPT_SECONDS", 0.0)  # a second passes
        service.get("/v1/forecasts/IBM")
    kept = service.get("/v1/forecasts/AAPL")
    left = json.loads(kept.body)["next_edition_in_seconds"]
    assert kept.now
    assert first["next_edition_in_seconds"] - 60 < left < first["next_edition_in_seconds"]


@pytest.mark.parametrize("target", ["/v1/forecasts/AAPL", "/tplus/v1/forecasts/AAPL", "/tplus/v1/watchlist"])
def test_behind_a_proxy_the_answers_are_those_of_the_routes(filled_file: Path, tmp_path: Path, target: str) -> None:
    database = Database(f"sqlite:///{shutil.copy(filled_file, tmp_path / 'filled.db')}")
    behind = {"root_path": "/tplus", "trusted_proxies": ("192.0.2.1",)}
    opened = Service(database, SETTINGS.model_copy(update=behind))
    tags = set()
    for more in ({}, {"x_forwarded_proto": "https"}, {"x_forwarded_proto": "https", "x_forwarded_for": "203.0.113.9"}):
        headers = plain_headers(opened.read, x_request_id="trial-1", **more)
        for _ in range(2):  # the second time it is kept
            fast, slow = opened.ask(opened.fast, target, headers), opened.ask(opened.slow, target, headers)
            assert fast.plain() == slow.plain()
            tags.add((dict(fast.headers)[b"etag"], bool(more)))
    assert len(tags) == 2  # an address with http, and one with https
    opened.fast.state.authenticator.close()
    opened.slow.state.authenticator.close()
    opened.runner.close()
    database.close()


def test_a_new_edition_is_seen_when_the_state_is_read_again(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [json.loads(service.get("/v1/forecasts/AAPL").body)["edition"]["number"] for _ in range(2)]
    batch = service.get("/v1/forecasts?symbols=AAPL,IBM").body
    with service.fast.state.reader.database.transaction() as connection:
        publish(connection, Publish(9, FRIDAY, at(FRIDAY, 22), revision=2))
        raise_changes(connection, ["AAPL"])
    monkeypatch.setattr(watch, "KEPT_SECONDS", 0.0)
    assert before == [2, 2]
    assert json.loads(service.get("/v1/forecasts/AAPL").body)["edition"]["number"] == 9
    assert service.get("/v1/forecasts?symbols=AAPL,IBM").body != batch


def test_a_line_of_the_watchlist_is_stale_right_after_its_due_time(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    due, stale = datetime(2018, 6, 3, 2, tzinfo=UTC), []
    for now in (due, due + timedelta(seconds=1)):
        move_clock(service.fast.state.reader.database, now)
        with monkeypatch.context() as later:
            later.setattr(watch, "KEPT_SECONDS", 0.0)  # a second passes
            service.get("/v1/forecasts/AAPL")
        lines = json.loads(service.get("/v1/watchlist?q=btc").body)["items"]
        stale.append(lines[0]["stale"])
    assert stale == [False, True]


def test_no_answer_is_sent_while_the_database_cannot_be_read(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [service.get(target).status for target in ("/v1/forecasts/AAPL", "/v1/watchlist")] == [200, 200]
    with service.fast.state.reader.database.transaction() as connection:
        connection.execute(text("DROP TABLE change_counters"))
    monkeypatch.setattr(watch, "KEPT_SECONDS", 0.0)
    assert [service.get(target).status for target in ("/v1/forecasts/AAPL", "/v1/watchlist")] == [500, 500]


class SlowReader(Reader):
    """Reads after `release` is set."""

    release = threading.Event()

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Open a snapshot late."""
        assert self.release.wait(20.0)
        with super().snapshot() as snapshot:
            yield snapshot


def test_a_slow_reading_for_others_holds_no_request_up_for_long(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = SlowReader(SETTINGS, service.slow.state.reader.database)
    state, watched = service.slow.state, watch.StateWatch(StateReader(service.slow.state.reader).read)
    parts = Parts(state.authenticator, state.limits, state.metrics.requests, ForecastLoader(slow), watched)
    fast = FastPath(service.slow, SETTINGS, parts)
    monkeypatch.setattr(fast_path, "MOST_WAIT_SECONDS", 0.05)
    answers = [service.ask(fast, "/v1/forecasts/AAPL", plain_headers(service.read)) for _ in range(2)]
    slow.release.set()
    assert [answer.status for answer in answers] == [200, 200]


def test_a_kept_answer_is_of_its_symbol(service: Service) -> None:
    for symbol in ("AAPL", "IBM", "BTC-USD") * 2:
        assert json.loads(service.get(f"/v1/forecasts/{symbol}").body)["symbol"] == symbol


def test_a_revoked_key_is_refused_when_it_is_read_again(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [service.get("/v1/forecasts/AAPL").status for _ in range(3)] == [200, 200, 200]
    with service.fast.state.reader.database.transaction() as connection:
        key = find_key(connection, service.read["Authorization"].removeprefix("Bearer "))
        assert key is not None
        assert revoke_key(connection, key.id, CREATED)
    monkeypatch.setattr(authenticate, "KEPT_SECONDS", 0.0)
    assert service.get("/v1/forecasts/AAPL").status == 401


def test_requests_beyond_the_limit_are_refused(filled_file: Path, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{shutil.copy(filled_file, tmp_path / 'filled.db')}")
    opened = Service(database, SETTINGS.model_copy(update={"rate_limit": "3/hour"}))
    answers = [opened.get("/v1/forecasts/AAPL") for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[2].now
    assert [dict(answer.headers)[b"ratelimit"].split(b";")[1] for answer in answers] == [
        b"r=2", b"r=1", b"r=0", b"r=0", b"r=0",
    ]  # fmt: skip
    opened.fast.state.authenticator.close()
    opened.runner.close()
    database.close()


def test_what_a_slow_client_left_takes_room_until_it_is_sent(service: Service) -> None:
    body, sent, taken = bytes(range(256)) * 5_000, [], []
    room = service.fast._parts.limits.room
    scope = {"type": "http", "client": ("192.0.2.1", 40_000), UNSENT: memoryview(body)}

    async def send(message: Any) -> None:
        sent.append(message)
        taken.append(room.total)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    service.runner.run(service.fast(scope, receive, send))
    assert [len(each["body"]) for each in sent] == [131_072] * 9 + [100_352]
    assert b"".join(each["body"] for each in sent) == body
    assert [each.get("more_body", False) for each in sent] == [True] * 9 + [False]
    assert taken == [1] * 10
    assert room.total == 0


def test_every_request_is_counted_once(service: Service) -> None:
    for _ in range(4):
        service.get("/v1/forecasts/AAPL")
    text = generate_latest(service.fast.state.metrics.registry).decode()
    assert 'tplus_http_requests_total{method="GET",route="/v1/forecasts/{symbol}",status="2xx"} 4.0' in text
    assert "tplus_http_requests_in_progress 0.0" in text


def test_a_change_that_no_counter_shows_keeps_the_answer(service: Service) -> None:
    """Without this, the tests above could pass because nothing is kept."""
    assert [service.get("/v1/forecasts/AAPL").status for _ in range(2)] == [200, 200]
    with service.fast.state.reader.database.transaction() as connection:
        connection.execute(update(instruments).values(group="other"))
    assert json.loads(service.get("/v1/forecasts/AAPL").body)["group"] == "equity"
