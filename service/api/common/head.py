"""HEAD on every GET route: the same status and headers, without a body."""

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadRequests:
    """ASGI middleware that answers HEAD as GET without a body; an endless stream ends at its first part."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        is_sent = False

        with anyio.CancelScope() as application:

            async def send_without_body(message: Message) -> None:
                nonlocal is_sent
                if message["type"] != "http.response.body":
                    await send(message)
                elif not is_sent:
                    is_sent = True
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                    if message.get("more_body", False):
                        application.cancel()  # what follows is not wanted: no route needs to compute it

            # A copy: the server must still see HEAD, or it waits for the bytes of Content-Length.
            await self._app({**scope, "method": "GET"}, receive, send_without_body)
