"""Sends the events of one watcher to many clients: a task polls once a second while clients are connected."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import TypeVar

from service.api.events.schemas import ChangeEvent, FaultEvent
from service.api.events.watcher import Event, Poll, Watcher
from service.api.status.read_status import StatusReader

POLL_SECONDS = 1.0
"""Real seconds between two polls of the database."""

MOST_WAITING = 256
"""Most events in a client's queue; a slower client is disconnected."""

_TOO_SLOW = "this stream is too far behind and ends; connect again for the current state"
_log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Subscription:
    """Queue of one client's events; used in the event loop only.

    Args:
        last_seen: The client's last change counter, None for a new client.
    """

    def __init__(self, last_seen: int | None) -> None:
        self._last_seen = last_seen
        self._waiting: deque[Event] = deque()
        self._wake = asyncio.Event()
        self._is_new = True
        self.ended = False

    def add(self, poll: Poll) -> None:
        """Add the events of a poll; the first time, the current state, and whether the client missed a change."""
        self._put((poll.first,) if self._is_new else poll.news)
        self._is_new = False
        if poll.counter is not None:
            if self._last_seen not in (None, poll.counter):
                self._put((Event.of("change", ChangeEvent(counter=poll.counter, symbols=None), poll.counter),))
            self._last_seen = None

    def end(self, message: str | None = None) -> None:
        """End after the queued events; a message replaces them and says why."""
        if message is not None:
            self._waiting.clear()
            self._waiting.append(Event.of("fault", FaultEvent(detail=message), None))
        self.ended = True
        self._wake.set()

    def _put(self, events: tuple[Event, ...]) -> None:
        if self.ended:
            return
        if len(self._waiting) + len(events) > MOST_WAITING:
            self.end(_TOO_SLOW)
            return
        self._waiting.extend(events)
        self._wake.set()

    async def events(self) -> AsyncIterator[Event]:
        """Yield events as they arrive, until the end."""
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self.ended:
                return
            self._wake.clear()
            await self._wake.wait()


class Hub:
    """Sends the events of one watcher to every client.

    The watcher starts with the first client and stops after the last; it reads in a thread, so that the event loop does
    not wait. Used in the event loop only.

    Args:
        status: Reads the status.
        interval: Real seconds between two polls.
    """

    def __init__(self, status: StatusReader, interval: float = POLL_SECONDS) -> None:
        self._status, self._interval = status, interval
        self._subscriptions: set[Subscription] = set()
        self._task: asyncio.Task[None] | None = None
        self._newest: Poll | None = None
        self._closed = False

    def join(self, last_seen: int | None) -> Subscription:
        """Return a new client's subscription; `leave` ends it."""
        subscription = Subscription(last_seen)
        if self._closed:
            subscription.end()
            return subscription
        self._subscriptions.add(subscription)
        if self._newest is not None:
            subscription.add(self._newest)
        if self._task is None:
            self._task = asyncio.create_task(self._watch(), name="watcher")
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """Remove a client."""
        self._subscriptions.discard(subscription)
        if not self._subscriptions:
            self._stop()

    def close(self) -> None:
        """End every stream, also later ones: the process is about to end."""
        self._closed = True
        for subscription in tuple(self._subscriptions):
            subscription.end()
        self._subscriptions.clear()
        self._stop()

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task, self._newest = None, None

    async def _watch(self) -> None:
        loop, watcher = asyncio.get_running_loop(), Watcher(self._status)
        is_healthy = True
        while True:
            started = loop.time()
            try:
                poll = await _in_thread(watcher.poll)
            except Exception:  # a defect must not end every stream; the log has the trace, once
                if is_healthy:
                    _log.exception("polling the database failed unexpectedly")
                is_healthy = False
            else:
                is_healthy = True
                self._newest = poll
                for subscription in tuple(self._subscriptions):
                    subscription.add(poll)
                    if subscription.ended:
                        self.leave(subscription)
            await asyncio.sleep(max(0.0, started + self._interval - loop.time()))


async def _in_thread(read: Callable[[], Result]) -> Result:
    """Call in a daemon thread, which an unreachable database may block without delaying the end of the process."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Result] = loop.create_future()

    def resolve(result: Result | None, error: BaseException | None) -> None:
        if answer.cancelled():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        try:
            outcome: tuple[Result | None, BaseException | None] = (read(), None)
        except BaseException as error:
            outcome = (None, error)
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(resolve, *outcome)

    threading.Thread(target=run, name="watcher", daemon=True).start()
    return await answer
