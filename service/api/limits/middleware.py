"""The middleware of the application, in its order."""

from dataclasses import dataclass

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from service.api.common.errors import REQUEST_ID_HEADER
from service.api.common.head import HeadRequests
from service.api.common.request_id import RequestIds
from service.api.common.root_path import RootPath
from service.api.limits.concurrency import Concurrency, Room, request_room
from service.api.limits.hosts import AllowedHosts, HostCheck
from service.api.limits.rate_storage import RateCounter
from service.api.limits.rates import KeyOf, RateLimits, RateRules
from service.api.limits.security_headers import SecurityHeaders
from service.api.limits.shared_windows import SharedWindows
from service.api.limits.work import CancelledWork
from service.settings import Settings

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
_REQUEST_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID")
_ANSWER_HEADERS = ("ETag", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", REQUEST_ID_HEADER)


@dataclass(frozen=True, slots=True)
class RateSources:
    """What rate limits are made of.

    Attributes:
        key_of: Finds the identity of a request's key.
        windows: Where requests are counted; None = memory of this process.
    """

    key_of: KeyOf
    windows: SharedWindows | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one process, for all ways in which a request is answered.

    Attributes:
        rates: How many requests a key or an address may send in a time.
        room: How many it may have in work.
        hosts: The host names of the service.
    """

    rates: RateRules
    room: Room
    hosts: AllowedHosts


def add_middleware(app: FastAPI, settings: Settings, sources: RateSources) -> Limits:
    """Add all middleware; returns its limits, whose counter is to be closed at the end.

    A request passes the last one added first: it gets its id, then its client's address and path; then it is
    checked (host, room, rate) before anything is done for it.
    """
    counter = RateCounter(settings, sources.windows or SharedWindows())
    limits = Limits(RateRules(settings, counter), request_room(settings), AllowedHosts.of(settings))
    app.add_middleware(CancelledWork)
    app.add_middleware(RateLimits, rules=limits.rates, key_of=sources.key_of)
    app.add_middleware(Concurrency, settings=settings, requests=limits.room)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=_METHODS,
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_ANSWER_HEADERS,
        )
    app.add_middleware(HostCheck, allowed=limits.hosts)
    app.add_middleware(HeadRequests)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RootPath, root_path=settings.root_path)
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))
    app.add_middleware(RequestIds)
    return limits
