"""Who a request comes from: the client's address, and whether it is on this machine."""

import ipaddress
from functools import lru_cache

from starlette.types import Scope

FORWARDING_HEADERS = ("x-forwarded-for", "forwarded", "via", "x-real-ip")
_FORWARDING = frozenset(name.encode() for name in FORWARDING_HEADERS)
_MOST_CHARACTERS = 64
"""Characters of an address that are read: a proxy may pass on any text, and addresses are remembered."""

_IPV6_PREFIX = 64
"""One household or host has a whole network of this size: its addresses count together."""


def client_address(scope: Scope) -> str:
    """Return the address that limits count for: IPv4 as it is, IPv6 by its network."""
    client = scope.get("client")
    return _counted_address(client[0][:_MOST_CHARACTERS] if client else "")


@lru_cache(4096)
def _counted_address(host: str) -> str:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 6 and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    if address.version == 6 and not address.is_loopback:
        return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
    return str(address)


def is_local(scope: Scope) -> bool:
    """Return whether the client is on this machine, and not a proxy here that passes on requests of others."""
    if any(name in _FORWARDING for name, _ in scope["headers"]):
        return False
    client = scope.get("client")
    return is_loopback_address(client[0][:_MOST_CHARACTERS] if client else "")


@lru_cache(4096)
def is_loopback_address(host: str) -> bool:
    """Return whether an address is one of this machine; a socket without an address is."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True
    mapped = address.ipv4_mapped if address.version == 6 else None
    return address.is_loopback or (mapped is not None and mapped.is_loopback)
