"""uvicorn's server with our protocol, which ends without dropping a request."""

import asyncio
import select
import socket
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from service.api.server.http_limits import HttpLimits
from service.api.server.listener import BACKLOG, stop_new_connections
from service.api.server.protocol import limited_protocol

SHUTDOWN_SECONDS = 15
"""How long open requests may continue after the process is stopped."""

_ACCEPTED_AT_ONCE = 4
"""Connections that a process accepts before it looks at its other work: one worker must not take a whole burst."""

_DRAIN_SECONDS = 1.0


def server_config(app: ASGIApp, limits: HttpLimits | None = None) -> uvicorn.Config:
    """Return the configuration of a server of the API.

    Args:
        app: The application; its method `answer_now`, if there is one, is called first.
        limits: None = the defaults.
    """
    return uvicorn.Config(
        app,
        http=limited_protocol(limits or HttpLimits(), getattr(app, "answer_now", None)),
        ws="none",
        log_config=None,  # uvicorn's lines are written as ours
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # the application does it: by TPLUS_TRUSTED_PROXIES, not by uvicorn's own variables
        server_header=False,
        backlog=_ACCEPTED_AT_ONCE,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


class Server(uvicorn.Server):
    """A server that serves what has arrived before it ends, and ends open streams instead of waiting for them.

    Args:
        config: As `server_config` returns it.
        owns_listener: Whether no other process accepts connections of the same socket.
    """

    def __init__(self, config: uvicorn.Config, *, owns_listener: bool = True) -> None:
        super().__init__(config)
        self._owns_listener = owns_listener

    def stop(self) -> None:
        """Stop the server soon; called in any thread."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start; uvicorn has one number for the queue's length and for how many are accepted at once."""
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(BACKLOG)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, accept what waits, then end the server."""
        application: Any = self.config.app
        application.state.hub.close()
        for listener in sockets or []:
            if self._owns_listener:
                stop_new_connections(listener)
            await _accept_waiting(listener)
        await super().shutdown(sockets)


async def _accept_waiting(listener: socket.socket) -> None:
    """Let the event loop accept the connections that wait in a listening socket."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _DRAIN_SECONDS
    while loop.time() < deadline and select.select([listener], [], [], 0)[0]:
        await asyncio.sleep(0.005)
