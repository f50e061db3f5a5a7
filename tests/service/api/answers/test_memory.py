"""The memory of kept answers and of what clients send is bounded, whatever they choose."""

import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from service.api.answers.answer import Answer, Template
from service.api.answers.cache import AnswerCache, AnswerKey
from service.api.answers.cache_key import CacheKey, StateGroup
from service.api.answers.plain_request import PlainRequests
from service.api.limits.addresses import client_address
from service.api.limits.hosts import AllowedHosts
from service.settings import Settings

NOW = datetime(2018, 6, 2, tzinfo=UTC)


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def cache_key() -> CacheKey:
    """Return the key of a state, as each request reads it: equal, and another object."""
    groups = [StateGroup(f"state {n}", True, 1000 + n, NOW + timedelta(n)) for n in range(6)]
    return CacheKey(5, tuple(groups), NOW + timedelta(1), NOW - timedelta(1))


@pytest.mark.usefixtures("traced")
def test_short_answers_take_no_more_memory_than_is_counted() -> None:
    cache, before = AnswerCache(10_000_000), tracemalloc.get_traced_memory()[0]
    for n in range(500):
        template, tag = Template([b'{"symbol":"S%03d"}' % n], ()), f'W/"{n:032d}"'
        answer = Answer("/v1/forecasts/{symbol}", template, cache_key(), NOW + timedelta(n), NOW + timedelta(n), tag)
        cache.keep(AnswerKey("http", b"127.0.0.1:%d" % n, f"/v1/forecasts/S{n}", b"fields=symbol&n=%d" % n), answer)
    assert tracemalloc.get_traced_memory()[0] - before < cache.size < 700_000


@pytest.mark.usefixtures("traced")
def test_long_values_of_headers_are_not_remembered() -> None:
    requests, before = PlainRequests(Settings(), AllowedHosts(["*"], any_address=True)), 0
    for n in range(200):
        host, accept = b"h%d" % n + b"x" * 5000, b"application/json;v=%d" % n + b" " * 5000
        heads = [(b"host", host), (b"accept", accept), (b"authorization", b"Bearer %d" % n + b"x" * 5000)]
        scope = {"scheme": "http", "path": "/v1/watchlist", "query_string": b"", "headers": heads}
        requests.read(scope)
        client_address({"client": (f"{n}" + "x" * 5000, 0)})
        before = before or tracemalloc.get_traced_memory()[0]
    assert tracemalloc.get_traced_memory()[0] - before < 200_000
