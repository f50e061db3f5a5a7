"""Answers that are ready when their request has arrived: what they are, and how they are written."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

UNSENT = "tplus.unsent"
"""Key of the ASGI scope with what is left of the body of a ready answer: its client reads slowly."""

WRITE_READY = "tplus.write_ready"
"""Key of the ASGI scope with a function that sends a whole `Ready` without messages; returns False if it cannot."""

PIECE = 131_072
"""Bytes of a large body that are written at a time: a client that does not read leaves at most one of them here."""

Ready = tuple[bytes, bytes, Sequence[bytes]]
"""An answer: its status line, what follows the server's own headers, and its body, a large one in one piece."""

AnswerNow = Callable[[Any], Ready | None]
"""Returns the answer to an ASGI scope if it is ready; the application sends what a slow client leaves, see `UNSENT`."""

LARGE = 131_072
"""Bytes of a body up to which it waits for the other answers of its turn."""

_log = logging.getLogger(__name__)


class TurnWrites:
    """Writes the ready answers of all connections together at the end of each turn of the event loop.

    Half the time of a send goes to waking the process that waits for it. Answers to requests that arrived together
    leave one right after the other, so that a client with many connections, such as a proxy, is woken once.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Transport, list[bytes]] = {}

    def write(self, transport: asyncio.Transport, flow: FlowControl, parts: Sequence[bytes]) -> memoryview | None:
        """Write an answer soon; whatever else is written on its connection before must come after a `flush`.

        Args:
            transport: The connection.
            flow: Says whether its client reads.
            parts: The answer; the last part alone may be large, and is written at once.

        Returns:
            What is left of a large body whose client does not read that fast; None without.
        """
        *head, body = parts
        is_large = len(body) > LARGE
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush_all)
        waiting = self._waiting.setdefault(transport, [])
        waiting.append(b"".join(head if is_large else parts))
        # Whether the client reads is known only after a write.
        if is_large or sum(map(len, waiting)) > LARGE:
            self.flush(transport)
        if not is_large:
            return None
        left = memoryview(body)  # its parts are no copies
        while left and not flow.write_paused:
            transport.write(left[:PIECE])
            left = left[PIECE:]
        return left or None

    def flush(self, transport: asyncio.Transport) -> None:
        """Write what waits for a connection."""
        parts = self._waiting.pop(transport, None)
        if parts is not None:
            transport.write(b"".join(parts))

    def _flush_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for transport, parts in waiting.items():
            try:
                transport.write(parts[0] if len(parts) == 1 else b"".join(parts))
            except Exception:  # the other connections get their answers
                _log.exception("an answer cannot be written")
                transport.abort()
