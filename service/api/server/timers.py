"""The timers of one connection."""

import asyncio
from asyncio.events import TimerHandle
from collections.abc import Callable


class Timers:
    """Timers by name, in the event loop; a closed connection must leave none behind, they would keep it in memory.

    Args:
        loop: The event loop.
    """

    __slots__ = ("_handles", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handles: dict[str, TimerHandle] = {}

    def start(self, name: str, seconds: float, callback: Callable[[], object]) -> None:
        """Call after a time; replaces the timer of that name."""
        self.stop(name)

        def call() -> None:
            self._handles.pop(name, None)
            callback()

        self._handles[name] = self._loop.call_later(seconds, call)

    def stop(self, name: str) -> None:
        """Forget a timer; one that does not run is fine."""
        handle = self._handles.pop(name, None)
        if handle is not None:
            handle.cancel()

    def runs(self, name: str) -> bool:
        """Return whether a timer runs."""
        return name in self._handles

    def stop_all(self) -> None:
        """Forget every timer."""
        for name in tuple(self._handles):
            self.stop(name)
