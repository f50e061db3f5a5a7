"""Limits on requests at a time, in total and per address; event streams have limits of their own."""

from collections import Counter
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.common.errors import problem
from service.api.limits.addresses import client_address
from service.api.server.http_limits import share
from service.settings import Settings

RETRY_SECONDS = 2
_STREAMS = "/v1/events"
_UNCOUNTED = ("/healthz",)


@dataclass(slots=True)
class Room:
    """Requests of one kind in work.

    Attributes:
        kind: Their name in messages.
        most: The limit in total.
        most_per_address: The limit per client address.
        total: Those in work.
        by_address: The same by address.
    """

    kind: str
    most: int
    most_per_address: int
    total: int = 0
    by_address: Counter[str] = field(default_factory=Counter)

    def enter(self, address: str) -> str | None:
        """Count a request; returns why it is refused, None if it is accepted."""
        if self.total >= self.most:
            return f"the service has {self.total} {self.kind} in work, as many as it takes"
        if self.by_address[address] >= self.most_per_address:
            return f"this address has {self.most_per_address} {self.kind} in work, as many as it may"
        self.total += 1
        self.by_address[address] += 1
        return None

    def has_place(self, address: str) -> bool:
        """Return whether a request would be accepted."""
        return self.total < self.most and self.by_address.get(address, 0) < self.most_per_address

    def leave(self, address: str) -> None:
        """Forget a request that was accepted."""
        self.total -= 1
        self.by_address[address] -= 1
        if self.by_address[address] <= 0:
            del self.by_address[address]


def request_room(settings: Settings) -> Room:
    """Return the room of one process for requests other than event streams."""
    requests = share(settings.max_requests, settings.workers)
    return Room("requests", requests, max(2, requests // 2))


class Concurrency:
    """ASGI middleware that answers 503 while there is no room for a request.

    Args:
        app: The application.
        settings: The limits.
        requests: The room for requests other than event streams; None = one of its own.
    """

    def __init__(self, app: ASGIApp, settings: Settings, requests: Room | None = None) -> None:
        self._app, self._requests = app, requests or request_room(settings)
        streams = share(settings.max_event_streams, settings.workers)
        self._stream_path = settings.root_path + _STREAMS
        self._uncounted = tuple(settings.root_path + path for path in _UNCOUNTED)
        self._streams = Room("event streams", streams, max(2, streams // 4))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["path"] in self._uncounted:
            await self._app(scope, receive, send)
            return
        room = self._streams if scope["path"] == self._stream_path else self._requests
        address = client_address(scope)
        sentence = room.enter(address)
        if sentence is not None:
            answer = problem(
                Request(scope), 503, f"{sentence}; try again in {RETRY_SECONDS} s", {"Retry-After": str(RETRY_SECONDS)}
            )
            await answer(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            room.leave(address)
