"""Ends the work of a request whose client has left: what waits is dropped, its SQL is cancelled."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import anyio
import psycopg
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.common.errors import problem
from service.api.server.departure import DEPARTURE, Departure

_CANCEL_SECONDS = 5.0
_log = logging.getLogger(__name__)


class ClientLeft(Exception):
    """The client left before the query began."""


class Work:
    """The database connections that one request uses; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connections: set[Any] = set()
        self._is_cancelled = False

    @contextmanager
    def using(self, connection: Connection) -> Iterator[None]:
        """Let queries on a connection be cancelled during the block.

        Raises:
            ClientLeft: the client has left.
        """
        driver = connection.connection.driver_connection
        with self._lock:
            if self._is_cancelled:
                raise ClientLeft("the client left")
            self._connections.add(driver)
        try:
            yield
        finally:
            with self._lock:  # waits for a cancellation under way: it must not hit the next user of the connection
                self._connections.discard(driver)

    def cancel(self) -> None:
        """Cancel what runs, and let nothing further begin; does not wait."""
        with self._lock:
            self._is_cancelled = True
            if not self._connections:
                return
        threading.Thread(target=self._cancel_all, name="cancel query", daemon=True).start()

    def _cancel_all(self) -> None:
        with self._lock:
            for driver in self._connections:
                try:
                    _cancel(driver)
                except (sqlite3.Error, psycopg.Error) as error:
                    _log.info("a query of a client that left cannot be cancelled: %s", error)


def _cancel(driver: Any) -> None:
    if isinstance(driver, sqlite3.Connection):
        driver.interrupt()
    elif isinstance(driver, psycopg.Connection):
        driver.cancel_safe(timeout=_CANCEL_SECONDS)


_current: ContextVar[Work | None] = ContextVar("work", default=None)


@contextmanager
def cancellable(connection: Connection) -> Iterator[None]:
    """Let queries on a connection be cancelled during the block, if the client of this request leaves."""
    work = _current.get()
    if work is None:
        yield
        return
    with work.using(connection):
        yield


class CancelledWork:
    """ASGI middleware that cancels a request when its client leaves.

    A route in the thread pool cannot be interrupted by itself: one that waits for a thread never starts, and one that
    waits for the database gets an error from it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        departure: Departure | None = scope.get(DEPARTURE)
        if scope["type"] != "http" or departure is None:
            await self._app(scope, receive, send)
            return
        try:
            await self._run(scope, receive, send, departure)
        except asyncio.CancelledError:
            # The server ends and has waited long enough. An answer that has begun is cut off by it.
            if departure.has_left:
                raise
            answer = problem(Request(scope), 503, "the service is stopping; try again later")
            with suppress(RuntimeError):  # the answer has begun
                await answer(scope, receive, send)

    async def _run(self, scope: Scope, receive: Receive, send: Send, departure: Departure) -> None:
        work = Work()
        with anyio.CancelScope() as request:

            def leave() -> None:
                request.cancel()
                work.cancel()

            departure.add(leave)
            token = _current.set(work)
            try:
                await self._app(scope, receive, send)
            except Exception as error:
                if not departure.has_left:
                    raise
                _log.debug("the work of a client that left ended with %r", error)
            finally:
                _current.reset(token)
