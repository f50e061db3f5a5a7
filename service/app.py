"""The API process: the application over one database, and its server."""

import gc
import json
import logging
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from anyio import to_thread
from fastapi import Depends, FastAPI
from sqlalchemy.exc import SQLAlchemyError

from service.access.listening import KeyWatch
from service.api.access.authenticate import Authenticator
from service.api.access.identity import key_identity
from service.api.access.openapi import declare_access
from service.api.access.require import require_read_or_key
from service.api.accuracy import routes as accuracy
from service.api.answers.database_state import StateReader
from service.api.answers.fast_path import FastPath, Parts
from service.api.answers.forecast_loader import ForecastLoader
from service.api.answers.watch import StateWatch
from service.api.audit import routes as audit
from service.api.common.dependencies import Reader, only_known_parameters
from service.api.common.errors import add_error_handlers
from service.api.common.schemas import BadField, Problem
from service.api.events import routes as events
from service.api.events.hub import Hub
from service.api.figures import routes as figures
from service.api.forecasts import routes as forecasts
from service.api.history import routes as history
from service.api.ledger import routes as ledger
from service.api.limits.middleware import RateSources, add_middleware
from service.api.limits.shared_windows import SharedWindows, shared_file
from service.api.metrics import routes as metrics
from service.api.metrics.exposition import Metrics
from service.api.metrics.own_port import metrics_port
from service.api.metrics.request_log import RequestLog, RouteRecorder
from service.api.metrics.worker_files import share_metrics
from service.api.models import routes as models
from service.api.page_sessions import routes as page_sessions
from service.api.prices import routes as prices
from service.api.run_requests import routes as run_requests
from service.api.runs import routes as runs
from service.api.server.http_limits import HttpLimits
from service.api.server.listener import bind
from service.api.server.server import SHUTDOWN_SECONDS, Server, server_config
from service.api.server.workers import Workers, end_with_input, worker_files
from service.api.status import health
from service.api.status import routes as status
from service.api.status.read_status import StatusReader
from service.api.subscriptions import routes as subscriptions
from service.api.symbols import routes as symbols
from service.api.watchlist import routes as watchlist
from service.api.watchlist.cache import WatchlistTable
from service.dashboard.documentation import add_documentation
from service.dashboard.router import dashboard
from service.db.session import Database
from service.errors import TplusError
from service.log_config import configure_logs
from service.runtime.database_identity import check_stamp
from service.settings import Settings, load_settings

VERSION = "0.1.0"

DESCRIPTION = """Dated, auditable forecasts of stock returns for the sessions T, T+1 and T+2, each with its measured
skill against the random walk. Instants are UTC; sessions are dates; a replay service has replayed market time. Not
investment advice."""

__all__ = ["SHUTDOWN_SECONDS", "Server", "bind", "create_app", "main", "serve", "server_config"]

ROUTE_THREADS = 12
"""Routes that work at a time in a process, fewer than the connections of a pool.

More threads take turns with the event loop, which then answers late, and each holds the memory of its answer.
"""

GC_THRESHOLDS = (10_000, 20, 50)
"""New objects before a garbage collection, and collections before a more thorough one: an answer has thousands."""

UNTIL_EOF = "--until-eof"
"""Argument: serve only while standard input is open."""

_RESOURCES = (
    *(forecasts, history, figures, prices, symbols, watchlist),
    *(models, runs, run_requests, accuracy, subscriptions, ledger, status, events),
    *(audit, page_sessions, health, metrics),
)
"""The resources, in the order of the documentation."""

_OWN_RULES = (audit, page_sessions, health)
"""Resources whose reads need another scope than `read`, or no key."""


def create_app(settings: Settings, database: Database | None = None, windows: SharedWindows | None = None) -> FastAPI:
    """Return the application; nothing is opened yet.

    Args:
        settings: The settings.
        database: The database to read; None = that of the settings, closed when the application ends.
        windows: Where the rate limits count; None = memory of this process.
    """
    opened = Database(settings.url, settings.lease_seconds) if database is None else database

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = ROUTE_THREADS
        yield
        app.state.hub.close()
        await limits.rates.counter.close()
        app.state.authenticator.close()
        if database is None:
            opened.close()

    app = FastAPI(
        docs_url=None,
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
    app.state.trusts_proxies = bool(settings.trusted_proxies)
    app.state.watchlist = WatchlistTable(settings)
    app.state.status = StatusReader(app.state.reader, VERSION)
    app.state.hub = Hub(app.state.status)
    app.state.metrics = Metrics(app.state.reader, VERSION)
    app.add_middleware(RouteRecorder)  # first, so innermost: next to the router
    limits = add_middleware(app, settings, RateSources(key_identity, windows))
    # Last, so outermost: it sees what the others refuse.
    app.add_middleware(RequestLog, metrics=app.state.metrics.requests, is_logged=settings.access_log)
    app.state.limits = limits
    add_error_handlers(app, opened)
    for resource in _RESOURCES:
        required = [] if resource in _OWN_RULES else [Depends(require_read_or_key)]
        app.include_router(resource.router, dependencies=[*required, Depends(only_known_parameters)])
    app.include_router(dashboard(VERSION, settings.root_path, has_open_reads=settings.has_open_reads))
    add_documentation(app, settings.root_path)
    _complete_schema(app, has_open_reads=settings.has_open_reads)
    return app


def create_server_app(
    settings: Settings, database: Database | None = None, windows: SharedWindows | None = None
) -> FastPath:
    """Return the application of a server: that of `create_app`, behind the fast path of kept answers."""
    app = create_app(settings, database, windows)
    reader = app.state.reader
    watch = StateWatch(StateReader(reader).read)
    metrics, loader = app.state.metrics.requests, ForecastLoader(reader)
    return FastPath(app, settings, Parts(app.state.authenticator, app.state.limits, metrics, loader, watch))


def serve(settings: Settings, database: Database | None = None) -> None:
    """Serve the API until the process is stopped.

    Raises:
        PortInUse: the address is in use; checked before anything else starts.
        StampMismatch: the database belongs to another source or clock.
        NoValidKey: other machines could reach it, and the database has no valid key.
    """
    with bind(settings.host, settings.port) as listener:
        refuse_foreign_database(settings)
        configure_logs(settings.log_level)
        if settings.workers == 1:
            _serve_alone(settings, listener, database)
        else:
            _serve_with_workers(settings, listener)


def _serve_alone(settings: Settings, listener: socket.socket, database: Database | None) -> None:
    app = create_server_app(settings, database)
    server = Server(server_config(app, HttpLimits.of(settings)))
    watch = KeyWatch(settings, server.stop)
    watch.start()
    with metrics_port(settings, app.state.metrics):
        _report(listener)
        _freeze_objects()
        server.run(sockets=[listener])
    watch.end()


def _serve_with_workers(settings: Settings, listener: socket.socket) -> None:
    workers = Workers(listener, shared_file(), settings.workers, [sys.executable, "-m", "service.app"])
    watch = KeyWatch(settings, workers.stop)
    watch.start()
    database = Database(settings.url, settings.lease_seconds)
    with closing(database), TemporaryDirectory(prefix="tplus-metrics-") as folder:
        share_metrics(Path(folder))
        with metrics_port(settings, Metrics(Reader(settings, database), VERSION)):
            _report(listener)
            workers.run()
    watch.end()


def _serve_as_worker(settings: Settings, listener_file: int, memory_file: int) -> None:
    """Serve on a socket that other workers serve too."""
    configure_logs(settings.log_level)
    with socket.socket(fileno=listener_file) as listener:
        app = create_server_app(settings, windows=SharedWindows(memory_file))
        _freeze_objects()
        Server(server_config(app, HttpLimits.of(settings)), owns_listener=False).run(sockets=[listener])


def _freeze_objects() -> None:
    """Exclude what is loaded by now from later garbage collections: each would stop all requests for 50 ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _report(listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    event = {"event": "listening", "url": url, "page": f"{url}/", "docs": f"{url}/docs"}
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def refuse_foreign_database(settings: Settings) -> None:
    """Raise for a database of another source or clock; a missing or unreachable one may follow later.

    Raises:
        StampMismatch: the database was made for other settings.
    """
    database = Database(settings.url, settings.lease_seconds)
    try:
        with database.reading() as connection:
            check_stamp(connection, settings.source_name, settings.market_clock)
    except SQLAlchemyError:
        return  # /readyz reports the fault until it is fixed
    finally:
        database.close()


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


def main(arguments: Sequence[str] = ()) -> int:
    """Run the API alone; returns the exit status.

    Args:
        arguments: `UNTIL_EOF` ends it when standard input closes, as it does when the parent process ends; `WORKER`
            makes it one of several workers, which ends in the same way.
    """
    files = worker_files(arguments)
    if UNTIL_EOF in arguments or files is not None:
        end_with_input()
    try:
        settings = load_settings()
        if files is None:
            serve(settings)
        else:
            _serve_as_worker(settings, *files)
    except TplusError as error:
        logging.getLogger(__name__).error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
