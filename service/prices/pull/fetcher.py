"""Fetches symbols in parallel and merges each answer in order, in a short transaction of its own."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime

from sqlalchemy import Connection

from service.db.session import Database, is_unavailable
from service.errors import FencedError
from service.market.instruments import Instrument, list_instruments
from service.prices.pull.fetch_ranges import Calendars, plan_starts
from service.prices.pull.full_resync import read_whole
from service.prices.pull.merge import HistoryMerger, PullOutcome
from service.prices.pull.probe import DEFAULT, Probe
from service.prices.quarantine.symbol_holds import allowed_symbols
from service.prices.sources.base import (
    FetchedPrices,
    Malformed,
    NoData,
    PriceSource,
    RateLimited,
    Transient,
    UnknownSymbol,
)
from service.settings import Settings
from service.vocabulary import SymbolState

__all__ = ["PullContext", "PullOutcome", "pull_symbols"]

_log = logging.getLogger(__name__)

_STATES: tuple[tuple[type[Exception], str], ...] = (
    (RateLimited, "deferred"),
    (Transient, "transient"),
    (NoData, "no_data"),
    (UnknownSymbol, "unknown"),
    (Malformed, "malformed"),
)
_MARKED = {
    "unknown": SymbolState.UNKNOWN, "malformed": SymbolState.FAILING, "failed": SymbolState.FAILING,
}  # fmt: skip
"""Outcomes that become a state of the instrument."""
_HELD = ("unknown", "no_data")
"""Outcomes that a blocked address also gets: accepted from a live source only if a probe answers afterwards."""


def _unfenced(_connection: Connection) -> None:
    """Accept every write: the pull has no run that could be taken over."""


@dataclass(frozen=True, slots=True)
class PullContext:
    """What a pull needs.

    Attributes:
        database: Database for the prices.
        source: Price source.
        settings: Settle delays, overlap, pool size and groups from the settings.
        calendars: `service.market.exchange_calendar.get_calendar`, or one like it.
        volatility: Names of volatility references: their jumps of more than 40 % are real.
        probes: Symbols known to exist, fetched before a live source's "unknown" is accepted.
        fence: Called first in every write transaction; raises FencedError if another worker took the pull over,
            which rolls that transaction back.
    """

    database: Database
    source: PriceSource
    settings: Settings
    calendars: Calendars
    volatility: frozenset[str] = frozenset()
    probes: tuple[str, ...] = (DEFAULT,)
    fence: Callable[[Connection], None] = _unfenced


@dataclass(frozen=True, slots=True)
class _Plan:
    """From which session each symbol is fetched.

    Attributes:
        starts: First session of a usual pull by symbol; None = the whole history.
        whole: Symbols fetched from their first stored session on, to compare the whole history.
        allowed: Symbols whose whole history a person allowed.
    """

    starts: dict[str, date | None]
    whole: frozenset[str] = field(default_factory=frozenset)
    allowed: frozenset[str] = field(default_factory=frozenset)

    def start(self, one: Instrument) -> date | None:
        """Return the first session to fetch (inclusive); None = the whole history."""
        if one.symbol in self.allowed:
            return None
        return one.first_session if one.symbol in self.whole else self.starts[one.symbol]


def pull_symbols(
    context: PullContext, symbols: Sequence[Instrument], session: date, at: datetime
) -> Iterator[PullOutcome]:
    """Pull symbols: the whole history first, later an overlap with missing and suspect sessions.

    Only bars of sessions with close + settle <= at are stored. No transaction is open while fetching. One
    symbol's failure never stops the others; the first rate limit defers all that were not tried yet. After the time
    limit of the settings no further symbol is fetched. Of a live source, one symbol in twenty is fetched whole.

    Args:
        context: What to work with.
        symbols: Instruments to pull; the results are in this order.
        session: The session the pull is for.
        at: Aware UTC market time.

    Yields:
        One outcome per symbol, once its transaction is over.

    Raises:
        FencedError: the context's fence says that another worker has taken the pull over.
    """
    context.source.begin_run()
    with context.database.reading() as connection:
        current = {one.symbol: one for one in list_instruments(connection, [one.symbol for one in symbols])}
        present = [current[one.symbol] for one in symbols if one.symbol in current]
        overlap = context.settings.overlap_sessions
        plan = _Plan(
            plan_starts(connection, present, session, overlap, context.calendars),
            frozenset() if context.source.can_replay else read_whole(present, session, context.calendars),
            allowed_symbols(connection, [one.symbol for one in present]),
        )
    merger = HistoryMerger(
        context.settings, context.calendars, context.volatility, context.source.name, session, at
    )  # fmt: skip
    yield from _Pull(context, merger, plan).run(present)


class _Pull:
    """One pull in progress: thread pool, circuit breaker, deadline and plan."""

    def __init__(self, context: PullContext, merger: HistoryMerger, plan: _Plan) -> None:
        self._context = context
        self._merger = merger
        self._plan = plan
        self._stopped = threading.Event()
        self._live = not context.source.can_replay
        self._probe = Probe(context.source, context.probes, merger.at)
        self._deadline = time.monotonic() + context.settings.pull_limit_seconds

    def run(self, instruments: Sequence[Instrument]) -> Iterator[PullOutcome]:
        workers = self._context.settings.fetch_workers
        waiting = deque(instruments)
        flying: deque[tuple[Instrument, Future[FetchedPrices | PullOutcome]]] = deque()
        pool = ThreadPoolExecutor(workers, thread_name_prefix="fetch")
        try:
            while waiting or flying:
                # Answers wait in memory until they are merged: only a few are fetched ahead.
                while waiting and len(flying) < 2 * workers:
                    one = waiting.popleft()
                    flying.append((one, pool.submit(self._fetch, one.symbol, self._plan.start(one))))
                one, future = flying.popleft()
                yield self._settle(one, self._landed(one, future))
        finally:
            self._stopped.set()
            # After the deadline a fetch may run until its own time-outs end it; its answer is dropped.
            pool.shutdown(wait=not self._overdue(), cancel_futures=True)

    def _overdue(self) -> bool:
        return time.monotonic() >= self._deadline

    def _landed(self, one: Instrument, future: Future[FetchedPrices | PullOutcome]) -> FetchedPrices | PullOutcome:
        try:
            return future.result(max(self._deadline - time.monotonic(), 0.0))
        except TimeoutError:
            return self._late(one.symbol)

    def _late(self, symbol: str) -> PullOutcome:
        limit = self._context.settings.pull_limit_seconds
        return PullOutcome(symbol, "transient", f"the pull ran longer than {limit:g} s; retried by the next attempt")

    def _fetch(self, symbol: str, start: date | None) -> FetchedPrices | PullOutcome:
        if self._overdue():
            return self._late(symbol)
        if self._stopped.is_set():
            return PullOutcome(symbol, "deferred", "rate limited by the source; not tried in this pull")
        ticket = self._probe.begin()
        try:
            history = self._context.source.fetch(symbol, start, self._merger.at)
            self._probe.answered(ticket)
            return history
        except Exception as error:
            outcome = _failure(symbol, error)
            if outcome.state == "deferred":
                self._stopped.set()
            if self._live and outcome.state in _HELD and not self._probe.reachable_since(ticket):
                return PullOutcome(symbol, "transient", f"not accepted while no other symbol answers: {outcome.reason}")
            return outcome

    def _settle(self, one: Instrument, answer: FetchedPrices | PullOutcome) -> PullOutcome:
        try:
            outcome = answer if isinstance(answer, PullOutcome) else self._keep(one, answer)
        except FencedError:
            raise
        except Exception as error:
            if is_unavailable(error):  # not the symbol's fault: the run is retried once the database is available
                raise
            outcome = _failure(one.symbol, error)
        return self._mark(one, outcome) if outcome.state in _MARKED else outcome

    def _keep(self, one: Instrument, history: FetchedPrices) -> PullOutcome:
        start = self._plan.starts[one.symbol]
        with self._context.database.transaction() as connection:
            self._context.fence(connection)
            if start is None:
                return self._merger.first(connection, one, history)
            if one.symbol in self._plan.allowed:
                return self._merger.allowed(connection, one, history)
            read = self._merger.whole if one.symbol in self._plan.whole else self._merger.later
            outcome = read(connection, one, history, start)
        if outcome is not None:
            return outcome
        whole = self._fetch(one.symbol, None)
        if isinstance(whole, PullOutcome):
            return whole
        with self._context.database.transaction() as connection:
            self._context.fence(connection)
            return self._merger.rebase(connection, one, whole)

    def _mark(self, one: Instrument, outcome: PullOutcome) -> PullOutcome:
        doubted = (
            self._live
            and outcome.state == "unknown"
            and one.last_session is not None
            and one.state != SymbolState.UNKNOWN
        )
        try:
            with self._context.database.transaction() as connection:
                self._context.fence(connection)
                if doubted:
                    return self._merger.missed(connection, one, outcome)
                return self._merger.mark(connection, outcome, _MARKED[outcome.state])
        except FencedError:
            raise
        except Exception as error:
            if is_unavailable(error):
                raise
            _log.exception("%s: the state %s could not be written", outcome.symbol, outcome.state)
            return outcome


def _failure(symbol: str, error: Exception) -> PullOutcome:
    for kind, state in _STATES:
        if isinstance(error, kind):
            _log.info("%s: %s: %s", symbol, state, error)  # stored as the symbol's outcome
            return PullOutcome(symbol, state, str(error))
    _log.error("%s: the pull failed: %s", symbol, error, exc_info=error)
    return PullOutcome(symbol, "failed", f"{type(error).__name__}: {error}")
