"""A bare Starlette application in the product's own server: what the API's rates are compared with.

    python -m benchmarks.speed.bare_api PORT WORKERS SIZE...

`/json` answers a short JSON document, `/bytes/SIZE` as many ready bytes.
"""

import json
import socket
import sys
from types import SimpleNamespace

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.api.limits.shared_windows import shared_file
from service.api.server.http_limits import HttpLimits
from service.api.server.listener import bind
from service.api.server.server import Server, server_config
from service.api.server.workers import Workers, end_with_input, worker_files


async def answer_json(_request: Request) -> JSONResponse:
    """Answer a short document, encoded each time."""
    return JSONResponse({"symbol": "AAPL", "as_of": "2018-06-01", "last_close": 175.0})


def ready_bytes(size: int) -> Route:
    """Return a route at `/bytes/SIZE` that answers bytes which are ready."""
    content = json.dumps({"text": "x" * (size - len('{"text": ""}'))}).encode()

    async def answer(_request: Request) -> Response:
        return Response(content, media_type="application/json")

    return Route(f"/bytes/{size}", answer)


def application(sizes: list[int]) -> Starlette:
    """Return the application; its server ends a hub of event streams, which it does not have."""
    app = Starlette(routes=[Route("/json", answer_json), *(ready_bytes(size) for size in sizes)])
    app.state.hub = SimpleNamespace(close=lambda: None)
    return app


def main(arguments: list[str]) -> int:
    """Serve until stopped: alone, as the parent of workers, or as a worker."""
    end_with_input()
    files = worker_files(arguments)
    port, workers, *sizes = (int(each) for each in arguments[: arguments.index("--worker") if files else None])
    app = application(sizes)
    if files is not None:
        with socket.socket(fileno=files[0]) as listener:
            Server(server_config(app, HttpLimits()), owns_listener=False).run(sockets=[listener])
        return 0
    with bind("127.0.0.1", port) as listener:
        if workers == 1:
            Server(server_config(app, HttpLimits())).run(sockets=[listener])
        else:
            command = [sys.executable, "-m", "benchmarks.speed.bare_api", *arguments]
            Workers(listener, shared_file(), workers, command).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
