"""What to cancel when a client leaves before its answer is complete."""

from collections.abc import Callable

DEPARTURE = "tplus.departure"
"""Key of the ASGI scope with the request's `Departure`."""


class Departure:
    """Callbacks of one request, called once in the event loop when its client leaves."""

    __slots__ = ("_callbacks", "has_left")

    def __init__(self) -> None:
        self.has_left = False
        self._callbacks: list[Callable[[], object]] = []

    def add(self, callback: Callable[[], object]) -> None:
        """Call it when the client leaves; at once if it has left."""
        if self.has_left:
            callback()
        else:
            self._callbacks.append(callback)

    def client_left(self) -> None:
        """Call every callback."""
        if self.has_left:
            return
        self.has_left = True
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()
