"""Which addresses an alert may go to: public ones alone, checked after resolving and again at connect."""

import ipaddress
import socket
import threading
from dataclasses import dataclass

from service.errors import TplusError

RESOLVE_SECONDS = 5.0
"""How long a name may take to resolve when a target is added."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_REFUSED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's metadata address is a public one
        "::/3", "4000::/2", "8000::/1",  # all but 2000::/3, the global unicast addresses
        "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
)  # fmt: skip
"""Private, local, link-local, metadata, multicast, documentation and tunnel networks, whatever this Python knows."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class RefusedAddress(TplusError):
    """A target's address is not public."""


class UnknownHost(TplusError):
    """A target's name does not resolve."""


@dataclass(frozen=True, slots=True)
class AddressRule:
    """The rule that addresses are checked against.

    Attributes:
        loopback: Whether loopback addresses of this machine are accepted too, by setting.
        only_loopback: Whether no others are: plain http stays on this machine.
    """

    loopback: bool = False
    only_loopback: bool = False

    def check(self, host: str, address: str) -> None:
        """Raise unless an address may be connected to.

        Args:
            host: The name it belongs to, for the message.
            address: An IPv4 or IPv6 address; anything else is refused.

        Raises:
            RefusedAddress: it is not public.
        """
        reason = self.reason_against(address)
        if reason is not None:
            allowed = "plain http goes to this machine" if self.only_loopback else "alerts go to public hosts"
            raise RefusedAddress(f"{host} has the address {address}, which is {reason}; {allowed} only")

    def reason_against(self, address: str) -> str | None:
        """Return why an address is refused, None if it is accepted."""
        try:
            parsed: _Address = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return "not an IP address"
        inner = _embedded(parsed)
        if inner.is_loopback:
            return None if self.loopback else "a loopback address"
        if self.only_loopback:
            return "not a loopback address"
        if inner.is_link_local:
            return "a link-local address"
        if inner.is_multicast:
            return "a multicast address"
        listed = any(inner in network for network in _REFUSED if network.version == inner.version)
        if listed or not inner.is_global:
            return "private or reserved"
        return None

    def resolve(self, host: str, port: int, seconds: float) -> tuple[str, ...]:
        """Return the addresses of a host, all of which are accepted.

        One refused address refuses the host: a name with a public and a private address is an attack or a mistake.

        Args:
            host: A name or an address.
            port: The port.
            seconds: How long it may take.

        Raises:
            RefusedAddress: one of them is not public.
            UnknownHost: the name does not resolve in time.
        """
        addresses = _resolve(host, port, seconds)
        for address in addresses:
            self.check(host, address)
        return addresses


def _embedded(address: _Address) -> _Address:
    """Return the IPv4 address that an IPv6 one reaches (mapped, or by NAT64), else the address."""
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address


def _resolve(host: str, port: int, seconds: float) -> tuple[str, ...]:
    """Resolve in a thread of its own: the system's resolver has no limit of time."""
    found: list[str] = []
    failure: list[str] = []

    def look_up() -> None:
        try:
            for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                found.append(str(entry[4][0]))
        except (OSError, UnicodeError) as error:
            failure.append(getattr(error, "strerror", None) or type(error).__name__)

    thread = threading.Thread(target=look_up, name="resolver", daemon=True)
    thread.start()
    thread.join(max(seconds, 0.0))
    if thread.is_alive():
        raise UnknownHost(f"{host} did not resolve in time; check the name server")
    if not found:
        raise UnknownHost(f"{host} does not resolve ({''.join(failure) or 'no address'}); check the name")
    return tuple(dict.fromkeys(found))
