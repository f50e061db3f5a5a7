"""What one connection, and one request on it, may cost."""

import ipaddress
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from service.settings import Settings

UNREAD_BYTES = 67_108_864

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits of one server process; times in seconds.

    Attributes:
        request_line: Bytes of a request's target; a list of 500 symbols has up to 25,000.
        head_bytes: Bytes of a request's line and headers together.
        headers: Headers of a request.
        body_bytes: Bytes of a body, after chunks are joined.
        request_seconds: How long the head may take, and then the body.
        idle_seconds: How long a connection may wait for the next request.
        write_seconds: How long a client may read nothing of what was sent.
        pipelined: Requests sent ahead of the answers before them.
        connections: Open connections.
        connections_per_address: Open connections of one address that is not a trusted proxy.
        unread_bytes: Bytes of answers that wait for slow clients, over all connections.
        proxies: Trusted proxies.
    """

    request_line: int = 32_768
    head_bytes: int = 49_152
    headers: int = 100
    body_bytes: int = 65_536
    request_seconds: float = 10.0
    idle_seconds: float = 15.0
    write_seconds: float = 30.0
    pipelined: int = 8
    connections: int = 512
    connections_per_address: int = 128
    unread_bytes: int = UNREAD_BYTES
    proxies: tuple[Network, ...] = ()

    @staticmethod
    def of(settings: Settings) -> "HttpLimits":
        """Return the limits of one of the workers."""
        return HttpLimits(
            body_bytes=settings.max_body_bytes,
            request_seconds=settings.request_seconds,
            connections=share(settings.max_connections, settings.workers),
            connections_per_address=settings.max_connections_per_address,
            unread_bytes=share(UNREAD_BYTES, settings.workers),
            proxies=tuple(ipaddress.ip_network(proxy) for proxy in settings.trusted_proxies),
        )


def share(total: int, workers: int) -> int:
    """Return one worker's part of a limit on something that the system spreads over the workers, rounded up."""
    return -(-total // workers)


class Connection(Protocol):
    """What the connections of a process are counted by."""

    def unread(self) -> int:
        """Return the bytes of answers that its client has not read."""
        ...

    def cut_off(self) -> None:
        """Close at once."""
        ...


@dataclass(slots=True)
class OpenConnections:
    """Open connections of one server process, by address.

    Attributes:
        limits: The limits of this process.
        total: All of them.
        by_address: Those of each address that is not a trusted proxy.
        slow: Those whose client does not read, the longest first.
    """

    limits: HttpLimits
    total: int = 0
    by_address: Counter[str] = field(default_factory=Counter)
    slow: dict[Connection, None] = field(default_factory=dict)

    def opened(self, address: str) -> str | None:
        """Count a new connection; returns why it is refused, None if it is accepted."""
        self.total += 1
        is_counted = not self._is_proxy(address)
        if is_counted:
            self.by_address[address] += 1
        if self.total > self.limits.connections:
            return "the service has as many open connections as it takes"
        if is_counted and self.by_address[address] > self.limits.connections_per_address:
            return f"this address has {self.limits.connections_per_address} open connections, as many as it may"
        return None

    def paused(self, connection: Connection) -> None:
        """Note that a client does not read; too much unread cuts off the clients that have not read for longest."""
        self.slow[connection] = None
        unread = sum(each.unread() for each in self.slow)
        for each in tuple(self.slow):
            if unread <= self.limits.unread_bytes:
                return
            unread -= each.unread()
            del self.slow[each]
            each.cut_off()

    def resumed(self, connection: Connection) -> None:
        """Note that a client reads again, or has gone."""
        self.slow.pop(connection, None)

    def closed(self, address: str) -> None:
        """Forget a connection."""
        self.total -= 1
        if address in self.by_address:
            self.by_address[address] -= 1
            if self.by_address[address] <= 0:
                del self.by_address[address]

    def _is_proxy(self, address: str) -> bool:
        if not self.limits.proxies:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self.limits.proxies)
