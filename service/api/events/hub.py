"""From one watcher to many clients: a task that looks once a second while anybody listens."""

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
"""Real seconds between two looks at the database."""

MOST_WAITING = 256
"""Events that may wait for a client; one that falls further behind is dropped."""

_TOO_SLOW = "this stream fell too far behind and ends here; connect again for where everything stands"
_log = logging.getLogger(__name__)

Found = TypeVar("Found")


class Subscription:
    """One client's events; used in the event loop alone.

    Args:
        last_seen: The change counter that the client saw last, None where it never was here.
    """

    def __init__(self, last_seen: int | None) -> None:
        self._last_seen = last_seen
        self._waiting: deque[Event] = deque()
        self._wake = asyncio.Event()
        self._is_new = True
        self.ended = False

    def tell(self, look: Poll) -> None:
        """Hand on what a look found; the first time, what stands, and whether anything was passed by."""
        self._put((look.standing,) if self._is_new else look.news)
        self._is_new = False
        if look.counter is not None:
            if self._last_seen not in (None, look.counter):
                self._put((Event.of("change", ChangeEvent(counter=look.counter, symbols=None), look.counter),))
            self._last_seen = None

    def end(self, word: str | None = None) -> None:
        """No more events after those that wait; a word takes their place and says why."""
        if word is not None:
            self._waiting.clear()
            self._waiting.append(Event.of("fault", FaultEvent(detail=word), None))
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
        """The events as they come, until the end."""
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self.ended:
                return
            self._wake.clear()
            await self._wake.wait()


class Hub:
    """Hands the events of one watcher to every client.

    The watcher starts with the first client and stops after the last; its reads take a thread, so that the event
    loop waits for none. Used in the event loop alone.

    Args:
        status: Reads the status.
        every: Real seconds between two looks.
    """

    def __init__(self, status: StatusReader, every: float = POLL_SECONDS) -> None:
        self._status, self._every = status, every
        self._listening: set[Subscription] = set()
        self._task: asyncio.Task[None] | None = None
        self._newest: Poll | None = None
        self._closed = False

    def join(self, last_seen: int | None) -> Subscription:
        """A new client's subscription; `leave` ends it."""
        subscription = Subscription(last_seen)
        if self._closed:
            subscription.end()
            return subscription
        self._listening.add(subscription)
        if self._newest is not None:
            subscription.tell(self._newest)
        if self._task is None:
            self._task = asyncio.create_task(self._watch(), name="watcher")
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """The client is gone."""
        self._listening.discard(subscription)
        if not self._listening:
            self._stop()

    def close(self) -> None:
        """End every stream, and those that are still to come: the process is about to end."""
        self._closed = True
        for subscription in tuple(self._listening):
            subscription.end()
        self._listening.clear()
        self._stop()

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task, self._newest = None, None

    async def _watch(self) -> None:
        loop, watcher = asyncio.get_running_loop(), Watcher(self._status)
        is_well = True
        while True:
            begin = loop.time()
            try:
                look = await _in_thread(watcher.look)
            except Exception:  # a defect of ours must not end every stream; the log keeps the trace, once
                if is_well:
                    _log.exception("looking at the database failed unexpectedly")
                is_well = False
            else:
                is_well = True
                self._newest = look
                for subscription in tuple(self._listening):
                    subscription.tell(look)
                    if subscription.ended:
                        self.leave(subscription)
            await asyncio.sleep(max(0.0, begin + self._every - loop.time()))


async def _in_thread(read: Callable[[], Found]) -> Found:
    """Call in a thread that the end of the process does not wait for: a database that is gone may hold it long."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Found] = loop.create_future()

    def settle(found: Found | None, error: BaseException | None) -> None:
        if answer.cancelled():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(found)  # type: ignore[arg-type]

    def work() -> None:
        try:
            outcome: tuple[Found | None, BaseException | None] = (read(), None)
        except BaseException as error:
            outcome = (None, error)
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=work, name="watcher", daemon=True).start()
    return await answer
