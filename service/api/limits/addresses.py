"""Who a request comes from: the client's address, and whether it is on this machine."""

import ipaddress

from starlette.datastructures import Headers
from starlette.types import Scope

FORWARDING_HEADERS = ("x-forwarded-for", "forwarded", "via", "x-real-ip")
_IPV6_PREFIX = 64
"""One household or host has a whole network of this size: its addresses count together."""


def client_address(scope: Scope) -> str:
    """Return the address that limits count for: IPv4 as it is, IPv6 by its network."""
    host = scope["client"][0] if scope.get("client") else ""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return str(host)[:64]
    if address.version == 6 and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    if address.version == 6 and not address.is_loopback:
        return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
    return str(address)


def is_local(scope: Scope) -> bool:
    """Return whether the client is on this machine, and not a proxy here that passes on requests of others."""
    headers = Headers(scope=scope)
    if any(name in headers for name in FORWARDING_HEADERS):
        return False
    host = scope["client"][0] if scope.get("client") else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True  # a socket of this machine without an address
    mapped = address.ipv4_mapped if address.version == 6 else None
    return address.is_loopback or (mapped is not None and mapped.is_loopback)
