"""Request ids: the client's own if it is valid, else a new one."""

import re
from random import Random

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from service.api.common.errors import REQUEST_ID_HEADER

_random = Random()
"""An id names a request in the log and is no secret: a read from the system's own source takes ten times as long."""

_VALID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def chosen_id(requested: str) -> str:
    """Return the requested id if it is valid, else a new one."""
    return requested if requested and _VALID.fullmatch(requested) else f"{_random.getrandbits(128):032x}"


class RequestIds:
    """ASGI middleware that puts the id into `request.state.request_id` and into the answer's headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = chosen_id(Headers(scope=scope).get(REQUEST_ID_HEADER, ""))
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        with bound_contextvars(request_id=request_id):  # in every log line of the request
            await self._app(scope, receive, send_with_id)
