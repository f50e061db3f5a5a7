"""Whether the page of this service itself sent a request that writes, and not another site."""

from urllib.parse import urlsplit

from starlette.requests import Request

from service.api.common.errors import NotPermitted

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


def require_own_page(request: Request) -> None:
    """Raise unless the request comes from the page of this service.

    A browser adds the cookie by itself, whichever page caused the request; `Origin` says which page it was.

    Raises:
        NotPermitted: it comes from elsewhere, or does not say from where.
    """
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise NotPermitted("the request comes from another site; only this service's own page may write by its cookie")
    origin = request.headers.get("origin")
    referer = request.headers.get("referer")
    if origin is None and referer is None:
        raise NotPermitted(
            "a write by cookie needs the header Origin, or Referer; send a key as `Authorization: Bearer KEY` instead"
        )
    if not (_is_own(request, origin) if origin is not None else _is_own(request, referer or "", is_page=True)):
        name = "Origin" if origin is not None else "Referer"
        raise NotPermitted(
            f"the header {name} names another address than Host; only this service's own page may write by its cookie"
        )


def _is_own(request: Request, address: str, *, is_page: bool = False) -> bool:
    """Return whether an origin, or the address of a page, is of this service."""
    try:
        parts = urlsplit(address)
        theirs = (parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme))
    except ValueError:
        return False
    # A proxy that ends TLS may not be trusted: the request then looks like http. The other way round is an attack.
    if parts.scheme not in _DEFAULT_PORTS or (request.url.scheme == "https" and parts.scheme != "https"):
        return False
    root = str(request.scope.get("root_path") or "")
    if is_page and not (parts.path == root or parts.path.startswith(f"{root}/")):
        return False
    return theirs in [_host_and_port(host, parts.scheme) for host in _own_hosts(request)]


def _own_hosts(request: Request) -> list[str]:
    """Return the hosts under which a browser may know this service."""
    hosts = [request.headers.get("host", "")]
    if request.app.state.trusts_proxies:
        # A page of another site cannot add this header: browsers would ask for permission first, which is refused.
        hosts.append(request.headers.get("x-forwarded-host", "").rpartition(",")[2].strip())
    return [host for host in hosts if host]


def _host_and_port(host: str, scheme: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname, parts.port or _DEFAULT_PORTS[scheme]
    except ValueError:
        return None, None
