"""The API process: the application over one database, and its server."""

import errno
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import Depends, FastAPI
from fastapi_offline import FastAPIOffline
from sqlalchemy.exc import SQLAlchemyError

from service.access.listening import KeyWatch
from service.api.access.authenticate import Authenticator
from service.api.access.openapi import declare_access
from service.api.access.require import require_read_or_key
from service.api.accuracy import routes as accuracy
from service.api.audit import routes as audit
from service.api.common.dependencies import Reader, only_known_parameters
from service.api.common.errors import add_error_handlers
from service.api.common.head import HeadRequests
from service.api.common.request_id import RequestIds
from service.api.common.root_path import RootPath
from service.api.common.schemas import BadField, Problem
from service.api.events import routes as events
from service.api.events.hub import Hub
from service.api.figures import routes as figures
from service.api.forecasts import routes as forecasts
from service.api.history import routes as history
from service.api.models import routes as models
from service.api.page_sessions import routes as page_sessions
from service.api.prices import routes as prices
from service.api.runs import routes as runs
from service.api.status import health
from service.api.status import routes as status
from service.api.status.read_status import StatusReader
from service.api.symbols import routes as symbols
from service.api.watchlist import routes as watchlist
from service.api.watchlist.cache import WatchlistTable
from service.dashboard.router import dashboard
from service.db.session import Database
from service.errors import PortInUse, TplusError
from service.runtime.database_identity import check_stamp
from service.settings import Settings, load_settings

VERSION = "0.1.0"

DESCRIPTION = """Dated, auditable forecasts of stock returns for the sessions T, T+1 and T+2, each with its measured
skill against the random walk. Instants are UTC; sessions are dates; a replay service has replayed market time. Not
investment advice."""

SHUTDOWN_SECONDS = 2
"""How long open requests may continue after the process is stopped."""

UNTIL_EOF = "--until-eof"
"""Argument: serve only while standard input is open."""

_BACKLOG = 512

_RESOURCES = (
    *(forecasts, history, figures, prices, symbols, watchlist),
    *(models, runs, accuracy, status, events, audit, page_sessions, health),
)
"""The resources, in the order of the documentation."""

_OWN_RULES = (audit, page_sessions, health)
"""Resources whose reads need another scope than `read`, or no key."""


def create_app(settings: Settings, database: Database | None = None) -> FastAPI:
    """Return the application; nothing is opened yet.

    Args:
        settings: The settings.
        database: The database to read; None = that of the settings, closed when the application ends.
    """
    opened = Database(settings.url) if database is None else database

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        app.state.hub.close()
        app.state.authenticator.close()
        if database is None:
            opened.close()

    app = FastAPIOffline(
        docs_url="/docs",
        redoc_url=None,
        title="Tplus",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,  # `get_forecast`: names of a generated client
    )
    app.state.reader = Reader(settings, opened)
    app.state.authenticator = Authenticator(app.state.reader)
    app.state.open_reads = settings.has_open_reads
    app.state.trusts_proxies = False
    app.state.watchlist = WatchlistTable(settings)
    app.state.status = StatusReader(app.state.reader, VERSION)
    app.state.hub = Hub(app.state.status)
    app.add_middleware(RequestIds)
    app.add_middleware(HeadRequests)
    app.add_middleware(RootPath, root_path=settings.root_path)
    add_error_handlers(app, opened)
    for resource in _RESOURCES:
        required = [] if resource in _OWN_RULES else [Depends(require_read_or_key)]
        app.include_router(resource.router, dependencies=[*required, Depends(only_known_parameters)])
    app.include_router(dashboard(VERSION, settings.root_path, has_open_reads=settings.has_open_reads))
    _complete_schema(app, has_open_reads=settings.has_open_reads)
    return app


class Server(uvicorn.Server):
    """A server that ends open streams when it is stopped, instead of waiting for them."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then the server."""
        application: Any = self.config.app
        application.state.hub.close()
        await super().shutdown(sockets)

    def stop(self) -> None:
        """Stop the server soon; called in any thread."""
        self.should_exit = True


def serve(settings: Settings, database: Database | None = None) -> None:
    """Serve the API until the process is stopped.

    Raises:
        PortInUse: the address is in use; checked before anything else starts.
        StampMismatch: the database belongs to another source or clock.
        NoValidKey: other machines could reach it, and the database has no valid key.
    """
    with bind(settings.host, settings.port) as listener:
        refuse_foreign_database(settings)
        config = uvicorn.Config(
            create_app(settings, database),
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        server = Server(config)
        watch = KeyWatch(settings, server.stop)
        watch.start()
        host, port = listener.getsockname()[:2]
        _write_event(
            {
                "event": "listening",
                "url": f"http://{host}:{port}",
                "page": f"http://{host}:{port}/",
                "docs": f"http://{host}:{port}/docs",
            }
        )
        server.run(sockets=[listener])
        watch.end()


def refuse_foreign_database(settings: Settings) -> None:
    """Raise for a database of another source or clock; a missing or unreachable one may follow later.

    Raises:
        StampMismatch: the database was made for other settings.
    """
    database = Database(settings.url)
    try:
        with database.reading() as connection:
            check_stamp(connection, settings.source_name, settings.market_clock)
    except SQLAlchemyError:
        return  # /readyz reports the fault until it is fixed
    finally:
        database.close()


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        PortInUse: another process listens there, or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # IPPROTO_TCP, so that the event loop turns off Nagle's algorithm, which costs each answer 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(f"port {port} on {host} is in use; stop the other program or set TPLUS_PORT") from error
        raise PortInUse(
            f"port {port} on {host} cannot be used ({error.strerror}); set TPLUS_HOST and TPLUS_PORT"
        ) from error
    return listener


def _complete_schema(app: FastAPI, *, has_open_reads: bool) -> None:
    """Add to the OpenAPI document the schema of problems, and that open reads need no key."""
    plain = app.openapi

    def completed() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = plain()
        declare_access(document, (each.router for each in _RESOURCES), has_open_reads=has_open_reads)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for model in (Problem, BadField):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schema.pop("$defs", None)
            schemas[model.__name__] = schema
        return document

    app.openapi = completed  # type: ignore[method-assign]


def _write_event(event: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] = ()) -> int:
    """Run the API alone; returns the exit status.

    Args:
        arguments: `UNTIL_EOF` ends it when standard input closes, as it does when the parent process ends.
    """
    if UNTIL_EOF in arguments:
        threading.Thread(target=_end_with_input, name="input watcher", daemon=True).start()
    try:
        serve(load_settings())
    except TplusError as error:
        logging.getLogger(__name__).error("%s", error)
        return 1
    return 0


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
