"""Limits how many requests a key or an address may send in a time."""

import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic

from limits import RateLimitItem, parse
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.common.errors import problem
from service.api.limits.addresses import client_address, is_local
from service.api.limits.rate_storage import Hit, RateCounter
from service.api_settings import DEFAULT_RATE_LIMIT, DEFAULT_RATE_LIMIT_WRITES, NO_LIMIT
from service.errors import TplusError
from service.settings import Settings

KeyOf = Callable[[Request], Awaitable[str | None]]
"""Returns the identity of a valid key in a request; None without one, so that guesses count per address."""

Pairs = Sequence[tuple[bytes, bytes]]
"""Headers as they are sent."""

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_GUESSES = parse("60/minute")
"""Unknown keys of one address that are looked up in the database to find whose limit counts."""

COUNTED = "counted"
"""Name in a request's state of the headers of its limits, if it was counted before it came here."""

_MOST_GUESSERS = 1000
_UNCOUNTED = ("/healthz",)


class Limit:
    """One limit.

    Args:
        name: Its name in headers.
        setting: The setting's value.
        default: Used if it is unset.
    """

    def __init__(self, name: str, setting: str | None, default: str) -> None:
        self.name = name
        self.is_default = setting is None
        self.item: RateLimitItem | None = None if setting == NO_LIMIT else parse(setting or default)
        self._policy = b"" if self.item is None else _policy(name, self.item).encode()

    def pairs(self, hit: Hit) -> Pairs:
        """Return the headers of an allowed request as they are sent; see `limit_headers`."""
        return ((b"ratelimit-policy", self._policy), (b"ratelimit", _left(self.name, hit).encode()))


class RateRules:
    """Which limits a request counts in.

    Args:
        settings: The limits.
        counter: Counts.
    """

    def __init__(self, settings: Settings, counter: RateCounter) -> None:
        self._all = Limit("requests", settings.rate_limit, DEFAULT_RATE_LIMIT)
        self._writes = Limit("writes", settings.rate_limit_writes, DEFAULT_RATE_LIMIT_WRITES)
        self._uncounted = tuple(settings.root_path + path for path in _UNCOUNTED)
        self.counter = counter

    def limits_of(self, scope: Scope) -> Sequence[tuple[Limit, RateLimitItem]]:
        """Return the limits that a request counts in; the narrower one is last."""
        if scope["path"] in self._uncounted:
            return ()
        limits = (self._all,) if scope["method"] in _READS else (self._all, self._writes)
        local = is_local(scope)
        return [(limit, limit.item) for limit in limits if limit.item is not None and not (local and limit.is_default)]

    def identity(self, scope: Scope, key: str | int | None) -> str:
        """Return what is counted for: the key, or the address of a request without a valid one."""
        return f"key {key}" if key is not None else f"address {client_address(scope)}"

    async def count_read(self, scope: Scope, key_id: int | None) -> Pairs | None:
        """Count a request that reads; returns the headers of its answer, None if it is beyond a limit."""
        if self.counter.is_shared_memory:
            return self.count_here(scope, key_id)
        headers: Pairs = ()
        for limit, item in self.limits_of(scope):
            identity = self.identity(scope, key_id)
            hit = await self.counter.hit(item, limit.name, identity)
            if not hit.is_allowed:
                return None
            headers = limit.pairs(hit)
        return headers

    def count_here(self, scope: Scope, key_id: int | None) -> Pairs | None:
        """Count a request that reads in shared memory, without waiting; see `count_read`."""
        item = self._all.item
        if item is None or (self._all.is_default and is_local(scope)):
            return ()
        hit = self.counter.hit_here(item, self._all.name, self.identity(scope, key_id))
        return self._all.pairs(hit) if hit.is_allowed else None


class RateLimits:
    """ASGI middleware that answers 429 beyond a limit, and says in headers what is left.

    Args:
        app: The application.
        rules: Which limits a request counts in.
        key_of: Finds the identity of a request's key.
    """

    def __init__(self, app: ASGIApp, rules: RateRules, key_of: KeyOf) -> None:
        self._app, self._rules, self._key_of = app, rules, key_of
        self._counter = rules.counter
        self._guessers: OrderedDict[str, float] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        limits = self._rules.limits_of(scope) if scope["type"] == "http" else ()
        if not limits:
            await self._app(scope, receive, send)
            return
        counted: Pairs | None = scope.get("state", {}).get(COUNTED)
        if counted is not None:
            headers = {name.decode(): value.decode() for name, value in counted}
            await self._app(scope, receive, _with_headers(send, headers))
            return
        request = Request(scope)
        key = await self._key(request)
        identity = self._rules.identity(scope, key)
        headers = {}
        for limit, item in limits:
            hit = await self._counter.hit(item, limit.name, identity)
            headers = limit_headers(limit.name, item, hit)
            if not hit.is_allowed:
                whose = "this key" if key is not None else "this address"
                answer = problem(request, 429, _sentence(whose, limit.name, item, hit), headers)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, _with_headers(send, headers))

    async def _key(self, request: Request) -> str | None:
        """Return the identity of a valid key; guesses beyond a few are not even looked up."""
        if "authorization" not in request.headers and "cookie" not in request.headers:
            return None
        address = client_address(request.scope)
        if self._guessers.get(address, 0.0) > monotonic():
            return None
        try:
            key = await self._key_of(request)
        except (TplusError, SQLAlchemyError):
            return None  # the route reports why the database cannot be read
        if key is None:
            hit = await self._counter.hit(_GUESSES, "guesses", address)
            if not hit.is_allowed:
                self._guessers[address] = monotonic() + hit.free_in
                while len(self._guessers) > _MOST_GUESSERS:
                    self._guessers.popitem(last=False)
        return key


def _with_headers(send: Send, headers: Mapping[str, str]) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(headers)
        await send(message)

    return send_with_headers


def limit_headers(name: str, item: RateLimitItem, hit: Hit) -> dict[str, str]:
    """Return the headers that say what is left of a limit."""
    headers = {"RateLimit-Policy": _policy(name, item), "RateLimit": _left(name, hit)}
    return headers if hit.is_allowed else {**headers, "Retry-After": str(_seconds_left(hit))}


def _left(name: str, hit: Hit) -> str:
    return f'"{name}";r={hit.remaining};t={_seconds_left(hit)}'


def _seconds_left(hit: Hit) -> int:
    return max(1, math.ceil(hit.free_in))


def _policy(name: str, item: RateLimitItem) -> str:
    return f'"{name}";q={item.amount};w={item.get_expiry()}'


def _sentence(whose: str, name: str, item: RateLimitItem, hit: Hit) -> str:
    return (
        f"{whose} has sent {item.amount} {name} within {item.get_expiry()} s, as many as it may; "
        f"try again in {max(1, math.ceil(hit.free_in))} s"
    )
