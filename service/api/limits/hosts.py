"""Accepts requests for the service's own host names only: a page of another site must not reach it under its name."""

import ipaddress
from collections.abc import Sequence

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.common.errors import problem
from service.settings import Settings, is_loopback

_MISDIRECTED, _BAD = 421, 400
_ANY = "*"


class AllowedHosts:
    """The host names of the service.

    Args:
        names: Names and addresses; `*.example.com` is any name below it, `*` any at all.
        any_address: Whether every IP address is accepted: a browser sends one only to the server that has it.
    """

    def __init__(self, names: Sequence[str], *, any_address: bool) -> None:
        self._any = _ANY in names
        self._any_address = any_address
        self._names = {name.strip("[]").rstrip(".").lower() for name in names}
        self._suffixes = tuple(name[1:].lower() for name in names if name.startswith("*."))

    @staticmethod
    def of(settings: Settings) -> "AllowedHosts":
        """Return those of the settings; see `TPLUS_ALLOWED_HOSTS`."""
        if settings.allowed_hosts:
            # A health check of this machine must work whatever the public name is.
            return AllowedHosts((*settings.allowed_hosts, "localhost", "127.0.0.1", "::1"), any_address=False)
        return AllowedHosts(("localhost", settings.host), any_address=not is_loopback(settings.host))

    def allow(self, host: str) -> bool:
        """Return whether a `Host` header names the service."""
        if self._any:
            return True
        name = host_name(host)
        if not name:
            return False
        if name in self._names or name.endswith((".localhost", *self._suffixes)):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._any_address or (address.is_loopback and self._has_loopback)

    @property
    def _has_loopback(self) -> bool:
        return "localhost" in self._names


def host_name(host: str) -> str:
    """Return the name in a `Host` header, without port, in lower case; empty if it is malformed."""
    if host.startswith("["):
        name, bracket, rest = host[1:].partition("]")
        is_valid = bool(bracket) and (not rest or (rest.startswith(":") and rest[1:].isdigit()))
    else:
        name, colon, port = host.partition(":")
        is_valid = not colon or port.isdigit()
    return name.rstrip(".").lower() if is_valid else ""


class HostCheck:
    """ASGI middleware that refuses requests for other hosts with 421."""

    def __init__(self, app: ASGIApp, allowed: AllowedHosts) -> None:
        self._app, self._allowed = app, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 and not (scope["http_version"] == "1.0" and not hosts):
            answer = problem(Request(scope), _BAD, "the request must have one Host header")
        elif hosts and not self._allowed.allow(hosts[0].decode("latin-1")):
            shown = ascii(hosts[0].decode("latin-1")[:60])
            answer = problem(
                Request(scope), _MISDIRECTED, f"this service is not {shown}; add its name to TPLUS_ALLOWED_HOSTS"
            )
        else:
            await self._app(scope, receive, send)
            return
        await answer(scope, receive, send)
