"""The cookie of a page session."""

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

PLAIN_NAME = "tplus_session"


def cookie_name(request: Request) -> str:
    """Return the cookie's name: over https a prefix keeps other hosts and plain http from setting it."""
    if request.url.scheme != "https":
        return PLAIN_NAME
    return f"__Secure-{PLAIN_NAME}" if _path(request) != "/" else f"__Host-{PLAIN_NAME}"


def read_cookie(request: Request) -> str | None:
    """Return the token in the cookie, None without one."""
    return request.cookies.get(cookie_name(request))


def set_cookie(request: Request, response: Response, token: str, expires_at: datetime, now: datetime) -> None:
    """Send the token to the browser, for this service's path alone."""
    response.set_cookie(
        cookie_name(request),
        token,
        max_age=max(0, int((expires_at - now).total_seconds())),
        path=_path(request),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def delete_cookie(request: Request, response: Response) -> None:
    """Remove the cookie from the browser."""
    response.delete_cookie(
        cookie_name(request),
        path=_path(request),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def _path(request: Request) -> str:
    return str(request.scope.get("root_path") or "/")
