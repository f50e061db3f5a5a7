"""Limits how many requests a key or an address may send in a time."""

import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
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

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_GUESSES = parse("60/minute")
"""Unknown keys of one address that are looked up in the database to find whose limit counts."""

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


class RateLimits:
    """ASGI middleware that answers 429 beyond a limit, and says in headers what is left.

    Args:
        app: The application.
        settings: The limits.
        counter: Counts.
        key_of: Finds the identity of a request's key.
    """

    def __init__(self, app: ASGIApp, settings: Settings, counter: RateCounter, key_of: KeyOf) -> None:
        self._app, self._counter, self._key_of = app, counter, key_of
        self._all = Limit("requests", settings.rate_limit, DEFAULT_RATE_LIMIT)
        self._writes = Limit("writes", settings.rate_limit_writes, DEFAULT_RATE_LIMIT_WRITES)
        self._guessers: OrderedDict[str, float] = OrderedDict()
        self._uncounted = tuple(settings.root_path + path for path in _UNCOUNTED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        limits = self._limits_of(scope) if scope["type"] == "http" else ()
        if not limits:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        key = await self._key(request)
        identity = f"key {key}" if key is not None else f"address {client_address(scope)}"
        headers: dict[str, str] = {}
        for limit, item in limits:
            hit = await self._counter.hit(item, limit.name, identity)
            headers = _headers(limit.name, item, hit)
            if not hit.is_allowed:
                whose = "this key" if key is not None else "this address"
                answer = problem(request, 429, _sentence(whose, limit.name, item, hit), headers)
                await answer(scope, receive, send)
                return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await self._app(scope, receive, send_with_headers)

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

    def _limits_of(self, scope: Scope) -> Sequence[tuple[Limit, RateLimitItem]]:
        """Return the limits that a request counts in; the narrower one is last."""
        if scope["path"] in self._uncounted:
            return ()
        limits = (self._all,) if scope["method"] in _READS else (self._all, self._writes)
        local = is_local(scope)
        return [(limit, limit.item) for limit in limits if limit.item is not None and not (local and limit.is_default)]


def _headers(name: str, item: RateLimitItem, hit: Hit) -> dict[str, str]:
    seconds = max(1, math.ceil(hit.free_in))
    headers = {
        "RateLimit-Policy": f'"{name}";q={item.amount};w={item.get_expiry()}',
        "RateLimit": f'"{name}";r={hit.remaining};t={seconds}',
    }
    return headers if hit.is_allowed else {**headers, "Retry-After": str(seconds)}


def _sentence(whose: str, name: str, item: RateLimitItem, hit: Hit) -> str:
    return (
        f"{whose} has sent {item.amount} {name} within {item.get_expiry()} s, as many as it may; "
        f"try again in {max(1, math.ceil(hit.free_in))} s"
    )
