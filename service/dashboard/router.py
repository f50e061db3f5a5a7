"""Routes of the dashboard: the page at `/` and its files."""

import hashlib
import ipaddress
from functools import cache

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from service.dashboard.assets import PLOTLY_PREFIX, PLOTLY_SUFFIX, PREFIX, Assets, PlotlyFile

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Content security policy; docs/dashboard.md explains each line."""

_SECURE = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_IMMUTABLE = {**_SECURE, "Cache-Control": "public, max-age=31536000, immutable"}
_JAVASCRIPT = "text/javascript; charset=utf-8"


def dashboard(version: str, root_path: str = "", *, has_open_reads: bool = True) -> APIRouter:
    """Return the routes of the page.

    Args:
        version: Version of the service, shown in the footer.
        root_path: Path below which a proxy publishes the service; empty = `/`.
        has_open_reads: Whether the page shows data before anybody signs in.
    """
    router = APIRouter(include_in_schema=False)
    assets = Assets.packaged()
    plotly = cache(PlotlyFile.installed)

    @cache
    def page() -> tuple[bytes, str]:
        body = assets.page(plotly(), version, root_path, has_open_reads=has_open_reads)
        return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'

    @router.api_route("/", methods=["GET", "HEAD"])
    def home(request: Request) -> Response:
        body, tag = page()
        headers = {**_SECURE, "Cache-Control": "no-cache", "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type="text/html; charset=utf-8")

    @router.api_route(f"{PREFIX}/{{digest}}/{{name}}", methods=["GET", "HEAD"])
    def asset(digest: str, name: str) -> Response:
        found = assets.files.get(name) if digest == assets.digest else None
        if found is None:
            raise _no_such_file()
        return Response(found.body, headers=_IMMUTABLE, media_type=found.media_type)

    @router.api_route(f"{PLOTLY_PREFIX}{{digest}}{PLOTLY_SUFFIX}", methods=["GET", "HEAD"])
    def plotly_script(request: Request, digest: str) -> Response:
        file = plotly()
        if digest != file.digest:
            raise _no_such_file()
        if not _wants_gzip(request):
            # In one piece: a stream would compete with the numbers that the page waits for.
            headers = {**_IMMUTABLE, "Vary": "Accept-Encoding"}
            return Response(file.body(), headers=headers, media_type=_JAVASCRIPT)
        headers = {**_IMMUTABLE, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        return Response(file.compressed(), headers=headers, media_type=_JAVASCRIPT)

    return router


def _no_such_file() -> HTTPException:
    return HTTPException(404, "the file does not exist")


def _wants_gzip(request: Request) -> bool:
    """Return whether to compress: over loopback it costs more time than it saves."""
    offered = {part.partition(";")[0].strip() for part in request.headers.get("accept-encoding", "").split(",")}
    return "gzip" in offered and not _is_loopback(request)


def _is_loopback(request: Request) -> bool:
    host = "" if request.client is None else request.client.host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
