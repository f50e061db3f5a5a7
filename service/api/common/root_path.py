"""The path below which a proxy publishes the service, `TPLUS_ROOT_PATH`."""

from starlette.types import ASGIApp, Receive, Scope, Send


class RootPath:
    """ASGI middleware that completes the path which a proxy has shortened.

    ASGI wants `path` with the prefix, and `root_path` next to it. A request that still has the prefix is accepted too.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app, self._root_path = app, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        root = self._root_path
        if root and scope["type"] in ("http", "websocket"):
            path = scope["path"]
            is_complete = path == root or path.startswith(f"{root}/")
            scope = {**scope, "root_path": root, "path": path if is_complete else root + path}
        await self._app(scope, receive, send)
