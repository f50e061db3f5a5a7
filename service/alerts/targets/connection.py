"""A network of our own for webhooks: the checked address, one limit of time in total, one of bytes.

The HTTP client would resolve the name again after our check, and its limits of time hold for each read: a receiver
that sends one byte at a time could hold it forever.
"""

import socket
import ssl
import time
from collections.abc import Iterable

import httpcore
from httpcore import SOCKET_OPTION

from service.alerts.targets.addresses import AddressRule


class Limits:
    """What one delivery may use, counted down while it runs.

    Args:
        seconds: Time in total.
        max_bytes: Bytes of the answer in total, headers included.
    """

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self.seconds = seconds
        self._deadline = time.monotonic() + seconds
        self.bytes_left = max_bytes

    def remaining(self) -> float:
        """Return the seconds that are left.

        Raises:
            httpcore.ReadTimeout: none are.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout(f"no complete answer within {self.seconds:g} s")
        return left


class CheckedNetwork(httpcore.NetworkBackend):
    """Resolves a name once, checks every address, and connects to one of those.

    TLS verifies the name of the URL, not the address.

    Args:
        rule: The rule for addresses.
        limits: Of this delivery.
    """

    def __init__(self, rule: AddressRule, limits: Limits) -> None:
        self._rule, self._limits = rule, limits

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the limit in total holds
        local_address: str | None = None,  # noqa: ARG002 - the library's signature
        socket_options: Iterable[SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers."""
        addresses = self._rule.resolve(host, port, self._limits.remaining())
        failure = "no address"
        for address in addresses:
            try:
                connected = socket.create_connection((address, port), self._limits.remaining())
            except OSError as error:
                failure = error.strerror or str(error) or type(error).__name__
                continue
            return _check_peer(connected, self._rule, host, self._limits)
        raise httpcore.ConnectError(f"cannot connect to {host} port {port}: {failure}")

    def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002 - the library's signature
        timeout: float | None = None,  # noqa: ARG002
        socket_options: Iterable[SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Refuse: alerts go over TCP."""
        raise httpcore.ConnectError("alerts go over TCP alone")


def _check_peer(connected: socket.socket, rule: AddressRule, host: str, limits: Limits) -> "LimitedStream":
    try:
        rule.check(host, str(connected.getpeername()[0]))
    except BaseException:
        connected.close()
        raise
    return LimitedStream(connected, limits)


class LimitedStream(httpcore.NetworkStream):
    """A connection within the limits of a delivery."""

    def __init__(self, connected: socket.socket, limits: Limits) -> None:
        self._socket, self._limits = connected, limits

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the limit in total holds
        """Return the next bytes of the answer; none at its end or past the limit of bytes."""
        size = min(max_bytes, self._limits.bytes_left)
        if size <= 0:
            raise httpcore.ReadError("the answer is longer than is read")
        self._socket.settimeout(self._limits.remaining())
        try:
            received = self._socket.recv(size)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(f"no complete answer within {self._limits.seconds:g} s") from error
        except OSError as error:
            raise httpcore.ReadError(error.strerror or str(error)) from error
        self._limits.bytes_left -= len(received)
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """Send bytes of the request."""
        view = memoryview(buffer)
        while view:
            self._socket.settimeout(self._limits.remaining())
            try:
                view = view[self._socket.send(view) :]
            except TimeoutError as error:
                raise httpcore.WriteTimeout(f"not sent within {self._limits.seconds:g} s") from error
            except OSError as error:
                raise httpcore.WriteError(error.strerror or str(error)) from error

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Return the same connection under TLS; the certificate is verified for the URL's name."""
        self._socket.settimeout(self._limits.remaining())
        try:
            wrapped = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
        except OSError as error:
            self.close()
            raise httpcore.ConnectError(f"TLS with {server_hostname} failed: {error.args[-1]}") from error
        return LimitedStream(wrapped, self._limits)
