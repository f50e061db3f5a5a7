"""Two middlewares that count every request and write one log line about it.

The outer one measures: it sees also what other middlewares refuse. The inner one, next to the router, notes what only
the router knows. They share a `RequestRecord` in the request's state.
"""

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import structlog
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.metrics.request_metrics import UNMATCHED, RequestMetrics
from service.log_config import write_info

_log = structlog.get_logger("service.api.access")

_RECORD = "request_record"
"""Name of the record in the request's state."""
_EVENT_STREAM = b"text/event-stream"


@dataclass(slots=True)
class RequestRecord:
    """What is known about a request.

    Attributes:
        client: Address of the client, after trusted proxies.
        route: Route template; UNMATCHED until the router has found one.
        status: Status of the answer, None before its start.
        started_at: `perf_counter` at which an event stream started; None for other answers.
        is_ended: Whether it was counted and logged.
    """

    client: str | None
    route: str = UNMATCHED
    status: int | None = None
    started_at: float | None = None
    is_ended: bool = False


class RequestLog:
    """The outer ASGI middleware: add it last.

    Args:
        app: The application.
        metrics: Receives every request.
        is_logged: Whether to write a line per request.
    """

    def __init__(self, app: ASGIApp, metrics: RequestMetrics, *, is_logged: bool) -> None:
        self._app, self._metrics, self._is_logged = app, metrics, is_logged

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        record = state[_RECORD] = RequestRecord(_client(scope))

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                if any(name == b"content-type" and _EVENT_STREAM in value for name, value in message["headers"]):
                    record.started_at = perf_counter()
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                self._end(scope, record, begin)  # before its last part leaves: then the client's next scrape has it
            await send(message)

        begin = perf_counter()
        self._metrics.begin()
        try:
            await self._app(scope, receive, send_and_note)
        except Exception:
            record.status = record.status or 500  # the server answers so, outside of every middleware
            raise
        finally:
            self._end(scope, record, begin)

    def _end(self, scope: Scope, record: RequestRecord, begin: float) -> None:
        if record.is_ended:
            return
        record.is_ended = True
        end = perf_counter()
        measured = end if record.started_at is None else record.started_at
        self._metrics.end(record.route, scope["method"], record.status, measured - begin)
        if self._is_logged:
            state = scope["state"]
            write_line(record, state.get("request_id"), scope["method"], end - begin, state.get("principal"))


def write_line(record: RequestRecord, request_id: str | None, method: str, seconds: float, principal: Any) -> None:
    """Write the log line of a request.

    Args:
        record: What is known about it.
        request_id: Its id.
        method: Its method.
        seconds: How long it took, until its last part was handed to the server.
        principal: Who made it; None = unknown.
    """
    fields = {
        "request_id": request_id,
        "method": method[:20],
        "route": record.route,
        "status": record.status,
        "seconds": round(seconds, 6),
        "client": record.client,
        "key": getattr(principal, "name", None),
    }
    if record.status is not None and record.status >= 500:
        _log.warning("request", **fields)
    elif not write_info({**fields, "event": "request"}):
        _log.info("request", **fields)


class RouteRecorder:
    """The inner ASGI middleware: add it first."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._plain: dict[int, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        record = scope.get("state", {}).get(_RECORD)
        if record is None:
            await self._app(scope, receive, send)
            return

        async def send_with_route(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.route = self._route(scope)
            await send(message)

        record.client = _client(scope)
        try:
            await self._app(scope, receive, send_with_route)
        finally:
            record.route = self._route(scope)

    def _route(self, scope: Scope) -> str:
        """Return the template of the route that the router has put into the scope."""
        route = scope.get("route")
        if route is not None:
            return str(route.path)
        endpoint = scope.get("endpoint")
        return UNMATCHED if endpoint is None else self._paths(scope["app"]).get(id(endpoint), UNMATCHED)

    def _paths(self, app: Any) -> dict[int, str]:
        """Return the paths of routes that are not FastAPI's own, by their endpoint."""
        if not self._plain:
            for route in app.routes:
                if isinstance(route, Mount):
                    self._plain[id(route.app)] = f"{route.path}/{{path}}"
                elif hasattr(route, "endpoint"):
                    self._plain[id(route.endpoint)] = route.path
        return self._plain


def _client(scope: Scope) -> str | None:
    client = scope.get("client")
    return None if client is None else str(client[0])
