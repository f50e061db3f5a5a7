"""The listening socket: opened once, shared by all workers, and closed without dropping a waiting client."""

import ctypes
import errno
import socket
import struct
import sys

from service.errors import PortInUse

BACKLOG = 512
"""Most connections that wait to be accepted."""

_UNANSWERED_MILLISECONDS = 30_000
"""A client that acknowledges nothing for this long counts as gone."""

_SO_ATTACH_FILTER = 26
_REFUSE_EVERY_PACKET = struct.pack("HBBI", 0x06, 0, 0, 0)
"""A packet filter of one instruction: keep 0 bytes."""


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        PortInUse: another process listens there, or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # IPPROTO_TCP, so that the event loop turns off Nagle's algorithm, which costs each answer 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted connections inherit both: a client that vanished without a word does not keep its place.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNANSWERED_MILLISECONDS)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(f"port {port} on {host} is in use; stop the other program or set TPLUS_PORT") from error
        raise PortInUse(
            f"port {port} on {host} cannot be used ({error.strerror}); set TPLUS_HOST and TPLUS_PORT"
        ) from error
    return listener


def stop_new_connections(listener: socket.socket) -> None:
    """Let no new connection begin; those that wait are still accepted.

    A listening socket that is closed resets the connections that wait in it. On Linux a packet filter keeps further
    ones out, so that what waits can be served before the socket is closed. Elsewhere the queue is shortened.
    """
    if sys.platform != "linux":
        listener.listen(0)
        return
    instructions = ctypes.create_string_buffer(_REFUSE_EVERY_PACKET)
    program = struct.pack("HP", 1, ctypes.addressof(instructions))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    except OSError:  # forbidden here: a client that connects within these milliseconds is reset
        listener.listen(0)
