"""Reads the newest forecasts for requests that wait: those that arrive during one reading share the next."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic

from anyio import CapacityLimiter, to_thread

from service.api.answers.database_state import DatabaseState, read_state
from service.api.answers.make import Documents
from service.api.common.dependencies import Reader
from service.api.forecasts.build_answer import answer_fields
from service.api.forecasts.encode import encode_fields
from service.api.forecasts.queries import ForecastQuery
from service.api.forecasts.read_stored import Known, SharedRows, read_stored
from service.api.symbols.queries import read_instruments
from service.market.symbol_names import stored_symbols

_log = logging.getLogger(__name__)

MOST_SYMBOLS = 16
"""Most symbols of one reading: more would let the first of them wait for long."""

_TURNS_TO_ANSWER = 4
"""Turns of the event loop in which the answers of a reading leave."""

GATHER_SECONDS = 0.001
"""How long a reading waits for more symbols, if as many as before would fit into it."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Result of one reading.

    Attributes:
        state: The state that it was made at.
        started: When the reading started, by the monotonic clock.
        documents: Symbol as requested -> its forecast; missing without one, or if its answer cannot be built.
    """

    state: DatabaseState
    started: float
    documents: dict[str, Documents]


class ForecastLoader:
    """Reads forecasts by symbol; used in the event loop only.

    A statement for sixteen symbols takes little longer than for one.

    Args:
        reader: The database and the settings.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._waiting: dict[str, asyncio.Future[Loaded]] = {}
        self._task: asyncio.Task[None] | None = None
        self._limiter = CapacityLimiter(1)
        self._before: DatabaseState | None = None
        self._shared = SharedRows()
        self._size = 1

    async def load(self, symbol: str) -> Loaded:
        """Return a reading with a symbol that starts after this call.

        Raises:
            NotYet: the database is not set up.
            SQLAlchemyError: it cannot be read.
        """
        future = self._waiting.get(symbol)
        if future is None:
            future = self._waiting[symbol] = asyncio.get_running_loop().create_future()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="forecast loader")
        # A client that leaves must not end the reading for the others.
        return await asyncio.shield(future)

    async def _run(self) -> None:
        is_next = False
        try:
            while self._waiting:
                await self._gather(is_next)
                is_next = True
                symbols = list(self._waiting)[:MOST_SYMBOLS]
                self._size = len(symbols)
                futures = [self._waiting.pop(symbol) for symbol in symbols]
                try:
                    loaded = await to_thread.run_sync(self._read, symbols, limiter=self._limiter)
                except Exception as error:
                    for future in futures:
                        future.set_exception(error)
                        future.exception()  # every client may have left
                else:
                    for future in futures:
                        future.set_result(loaded)
        finally:
            self._task = None

    async def _gather(self, is_next: bool) -> None:
        """Wait a moment: the clients of the reading before send their next requests at about the same time.

        Without it, those that wait and those that were just answered would take turns in readings of half the size.

        Args:
            is_next: Whether that reading has just ended.
        """
        expected = min(self._size + (len(self._waiting) if is_next else 0), MOST_SYMBOLS)
        for _ in range(_TURNS_TO_ANSWER if is_next else 0):
            await asyncio.sleep(0)
        if len(self._waiting) < expected:
            await asyncio.sleep(GATHER_SECONDS)

    def _read(self, symbols: Sequence[str]) -> Loaded:
        started, documents = monotonic(), {}
        with self._reader.snapshot() as snapshot:
            state = read_state(snapshot, self._reader, self._before)
            if self._before is None or state.cache_key != self._before.cache_key:
                self._shared = SharedRows()
            self._before = state
            instruments = read_instruments(snapshot.connection, symbols)
            names = {symbol: symbol for symbol in instruments}
            if len(names) < len(symbols):  # some in another spelling
                names = stored_symbols(snapshot.connection, symbols)
                instruments = read_instruments(snapshot.connection, sorted(set(names.values())))
            known = Known(instruments, state.next_editions, self._shared)
            stored = read_stored(snapshot, self._reader.settings, list(instruments), ForecastQuery(snapshot.now), known)
        for symbol in symbols:
            rows = stored.get(names.get(symbol, symbol))
            if rows is None:
                continue
            try:
                documents[symbol] = replace(encode_fields(answer_fields(rows)), changes_at=[rows.changes_at])
            except Exception:
                # The others are answered; the long way says what is wrong with this one.
                _log.debug("%s: the answer cannot be built", symbol, exc_info=True)
        return Loaded(state, started, documents)
