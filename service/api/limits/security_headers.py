"""Puts the security headers on every answer that does not set its own."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.common.headers import API_HEADERS, REVALIDATED

PIECE = 131_072
"""Bytes of a body that are handed to the server at a time: it waits before the next while the client does not read."""


class SecurityHeaders:
    """ASGI middleware; the page and the documentation have a content security policy of their own.

    It also sends large bodies in pieces.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if "etag" in headers and message["status"] in (200, 206, 304):
                    headers.setdefault("Cache-Control", REVALIDATED)
                for name, value in API_HEADERS.items():
                    headers.setdefault(name, value)
            elif message["type"] == "http.response.body":
                message = await _send_all_but_the_end(message, send)
            await send(message)

        await self._app(scope, receive, send_with_headers)


async def _send_all_but_the_end(message: Message, send: Send) -> Message:
    """Send the pieces of a large body; returns its last part."""
    body = message.get("body", b"")
    start = 0
    while len(body) - start > PIECE:
        await send({"type": "http.response.body", "body": body[start : start + PIECE], "more_body": True})
        start += PIECE
    return message if not start else {**message, "body": body[start:]}
