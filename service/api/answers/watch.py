"""Reads the state of the database again and again while requests come, so that no answer is older than a second."""

import asyncio
from collections.abc import Callable
from time import monotonic

from anyio import CapacityLimiter, to_thread

from service.api.answers.database_state import DatabaseState

KEPT_SECONDS = 0.7
"""How long a state is used, from the start of its reading: an answer is then never older than a second."""

RENEWED_SECONDS = 0.4
"""Age at which the next reading starts, while requests still use this one: none waits for one of less than 0.3 s."""


class StateWatch:
    """The newest state; used in the event loop only.

    Args:
        read: Reads the state, in a thread.
        clock: Seconds that never go back.
    """

    def __init__(self, read: Callable[[], DatabaseState], clock: Callable[[], float] = monotonic) -> None:
        self._read, self._clock = read, clock
        self._newest: DatabaseState | None = None
        self._read_at = float("-inf")
        self._reading: asyncio.Task[DatabaseState] | None = None
        self._limiter = CapacityLimiter(1)

    def current(self) -> DatabaseState | None:
        """Return the newest state; None if it is too old. The next one is read in the background."""
        age = self._clock() - self._read_at
        if age > RENEWED_SECONDS and self._reading is None and age < KEPT_SECONDS:
            self._start()
        return self._newest if age < KEPT_SECONDS else None

    async def wait(self) -> DatabaseState | None:
        """Return a state that is new enough; None if reading one takes too long.

        Raises:
            NotYet: the database is not set up.
            SQLAlchemyError: it cannot be read.
        """
        state = self.current()
        if state is None:
            # A client that leaves must not end the reading for the others.
            await asyncio.shield(self._reading or self._start())
            state = self.current()
        return state

    def offer(self, state: DatabaseState, started: float) -> None:
        """Take a state that was read for another purpose.

        Args:
            state: The state.
            started: When its reading started, by the clock.
        """
        if started > self._read_at:
            self._newest, self._read_at = state, started

    def _start(self) -> "asyncio.Task[DatabaseState]":
        reading = self._reading = asyncio.create_task(self._read_and_keep())
        reading.add_done_callback(self._forget_reading)
        return reading

    async def _read_and_keep(self) -> DatabaseState:
        started = self._clock()
        state = await to_thread.run_sync(self._read, limiter=self._limiter)
        self.offer(state, started)
        return state

    def _forget_reading(self, done: "asyncio.Task[DatabaseState]") -> None:
        self._reading = None
        if not done.cancelled():
            done.exception()  # a request that waits reports it; nobody may wait
