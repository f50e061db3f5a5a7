"""The pull: fetch symbols side by side, keep each answer in a short transaction of its own, in order."""

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime

from service.db.session import Database
from service.market.instruments import Instrument, list_instruments
from service.prices.keep import Keeper, PullOutcome
from service.prices.source import (
    Malformed,
    NoData,
    PriceHistory,
    PriceSource,
    RateLimited,
    Transient,
    UnknownSymbol,
)
from service.prices.windows import Calendars, plan_starts
from service.settings import Settings

__all__ = ["IngestContext", "PullOutcome", "pull_symbols"]

_log = logging.getLogger(__name__)

_STATES: tuple[tuple[type[Exception], str], ...] = (
    (RateLimited, "deferred"),
    (Transient, "transient"),
    (NoData, "no_data"),
    (UnknownSymbol, "unknown"),
    (Malformed, "malformed"),
)
_MARKED = {"unknown": "unknown", "malformed": "failing", "failed": "failing"}
"""Outcomes that become a state of the instrument."""


@dataclass(frozen=True, slots=True)
class IngestContext:
    """What a pull works with.

    Attributes:
        database: Where prices go.
        source: Where they come from.
        settings: Settle delays, overlap, pool size and groups set by hand.
        calendars: `service.market.calendar.get_calendar`, or one like it.
        volatility: Names of volatility references: their jumps of more than 40 % are real.
    """

    database: Database
    source: PriceSource
    settings: Settings
    calendars: Calendars
    volatility: frozenset[str] = frozenset()


def pull_symbols(
    context: IngestContext, symbols: Sequence[Instrument], session: date, at: datetime
) -> Iterator[PullOutcome]:
    """Pull symbols: the whole history at first, later what overlaps, holes and suspects included.

    Only bars of sessions with close + settle <= at are stored. No transaction is open while fetching. One
    symbol's failure never stops the others; the first rate limit defers all that were not tried yet.

    Args:
        context: What to work with.
        symbols: Whom to pull; the results come in this order.
        session: The session the pull is for.
        at: Aware UTC market time.

    Yields:
        One outcome per symbol, once its transaction is over.
    """
    context.source.begin_run()
    with context.database.reading() as connection:
        current = {one.symbol: one for one in list_instruments(connection, [one.symbol for one in symbols])}
        present = [current[one.symbol] for one in symbols if one.symbol in current]
        overlap = context.settings.overlap_sessions
        starts = plan_starts(connection, present, session, overlap, context.calendars)
    keeper = Keeper(
        context.settings, context.calendars, context.volatility, context.source.name, session, at
    )  # fmt: skip
    yield from _Pull(context, keeper, starts).run(present)


class _Pull:
    """One pull on its way: the pool, its brake, and who is asked from where."""

    def __init__(self, context: IngestContext, keeper: Keeper, starts: dict[str, date | None]) -> None:
        self._context = context
        self._keeper = keeper
        self._starts = starts
        self._brake = threading.Event()

    def run(self, instruments: Sequence[Instrument]) -> Iterator[PullOutcome]:
        workers = self._context.settings.fetch_workers
        waiting = deque(instruments)
        flying: deque[tuple[Instrument, Future[PriceHistory | PullOutcome]]] = deque()
        pool = ThreadPoolExecutor(workers, thread_name_prefix="fetch")
        try:
            while waiting or flying:
                # Answers wait in memory until they are kept: so only a few are fetched ahead.
                while waiting and len(flying) < 2 * workers:
                    one = waiting.popleft()
                    flying.append((one, pool.submit(self._fetch, one.symbol, self._starts[one.symbol])))
                one, future = flying.popleft()
                yield self._settle(one, future.result())
        finally:
            self._brake.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _fetch(self, symbol: str, start: date | None) -> PriceHistory | PullOutcome:
        if self._brake.is_set():
            return PullOutcome(symbol, "deferred", "the source asked to slow down; not tried in this pull")
        try:
            return self._context.source.fetch(symbol, start, self._keeper.at)
        except Exception as error:
            outcome = _failure(symbol, error)
            if outcome.state == "deferred":
                self._brake.set()
            return outcome

    def _settle(self, one: Instrument, answer: PriceHistory | PullOutcome) -> PullOutcome:
        try:
            outcome = answer if isinstance(answer, PullOutcome) else self._keep(one, answer)
        except Exception as error:
            outcome = _failure(one.symbol, error)
        if outcome.state in _MARKED:
            self._mark(outcome)
        return outcome

    def _keep(self, one: Instrument, history: PriceHistory) -> PullOutcome:
        start = self._starts[one.symbol]
        with self._context.database.transaction() as connection:
            if start is None:
                return self._keeper.first(connection, one, history)
            outcome = self._keeper.later(connection, one, history, start)
        if outcome is not None:
            return outcome
        whole = self._fetch(one.symbol, None)
        if isinstance(whole, PullOutcome):
            return whole
        with self._context.database.transaction() as connection:
            return self._keeper.rebase(connection, one, whole)

    def _mark(self, outcome: PullOutcome) -> None:
        try:
            with self._context.database.transaction() as connection:
                self._keeper.mark(connection, outcome, _MARKED[outcome.state])
        except Exception:
            _log.exception("%s: the state %s could not be written", outcome.symbol, outcome.state)


def _failure(symbol: str, error: Exception) -> PullOutcome:
    for kind, state in _STATES:
        if isinstance(error, kind):
            _log.info("%s: %s: %s", symbol, state, error)  # the run keeps it as the symbol's outcome
            return PullOutcome(symbol, state, str(error))
    _log.error("%s: the pull failed: %s", symbol, error, exc_info=error)
    return PullOutcome(symbol, "failed", f"{type(error).__name__}: {error}")
